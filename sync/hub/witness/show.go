package witness

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// show has every witness cosign the log as it stands, and keeps the checkpoint if at least one did. What was signed is
// never contradicted: the log only grows, and a hub that was put back hears so from the witnesses.
func (l *Log) show(ctx context.Context) error {
	h, err := l.head(ctx)
	if err != nil {
		return err
	}
	if h.size == 0 || len(l.peers) == 0 || h.size == h.cosigned && l.allSaw(h.size) {
		return nil
	}
	if behind, err := l.putBack(ctx, h); behind || err != nil {
		return err
	}
	signed, err := l.sign(ctx, h.size)
	if err != nil {
		return err
	}
	text, lines, _ := strings.Cut(signed, "\n\n")
	got := 0
	for i, p := range l.peers {
		line, err := l.cosign(ctx, p, h.size, signed)
		l.note(i, p, err)
		if err == nil {
			lines, got = lines+line, got+1
		}
	}
	if got == 0 {
		return nil
	}
	_, err = l.Database.ExecContext(ctx, `
UPDATE hublog SET checkpoint = $1, cosigned = $2 WHERE name = $3 AND cosigned <= $2`, text+"\n\n"+lines, h.size, l.name)
	if err != nil {
		return fmt.Errorf("keep the cosigned checkpoint: %w", err)
	}
	return nil
}

func (l *Log) allSaw(size int64) bool {
	for _, p := range l.peers {
		if p.size != size {
			return false
		}
	}
	return true
}

// putBack asks each witness that this hub has not spoken to yet about what is cosigned already, before anything new is
// signed: a database that was put back would sign another history over the one that they know.
func (l *Log) putBack(ctx context.Context, h head) (behind bool, err error) {
	for i, p := range l.peers {
		if p.size > 0 || h.cosigned == 0 {
			continue
		}
		signed, err := l.sign(ctx, h.cosigned)
		if err != nil {
			return false, err
		}
		p.size = h.cosigned
		_, err = l.cosign(ctx, p, h.cosigned, signed)
		if err != nil {
			p.size = 0
			l.note(i, p, err)
			behind = behind || errors.Is(err, errEnded)
		}
	}
	return behind, nil
}

func (l *Log) sign(ctx context.Context, size int64) (string, error) {
	root, err := tlog.TreeHash(size, l.hashes(ctx))
	if err != nil {
		return "", fmt.Errorf("sign the log: %w", err)
	}
	text := log.Checkpoint{Origin: l.name, Size: uint64(size), Hash: root[:]}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, l.Signer)
	if err != nil {
		return "", fmt.Errorf("sign the log: %w", err)
	}
	return string(signed), nil
}

// errEnded says that a witness has seen what this log cannot continue.
var errEnded = errors.New("the hub's database was put back behind what the witness has seen, or changed: begin a log of a new name, and tell the witness's owner why")

// note writes down how a witness stands.
func (l *Log) note(i int, p *peer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.state[i]
	was := s.Trouble
	if err == nil {
		s.Size, s.At, s.Trouble, s.Ended = p.size, time.Now(), "", false
		return
	}
	s.Trouble, s.Ended = err.Error(), errors.Is(err, errEnded)
	if s.Trouble != was {
		l.Logger.Error("a witness does not cosign the hub's log", "witness", s.Witness, "err", err)
	}
}

const maxAnswer = 16 << 10

// cosign has a witness cosign a checkpoint of some size, and gives its signature lines. Where it has seen another size
// than thought, it says so and is asked once more.
func (l *Log) cosign(ctx context.Context, p *peer, size int64, signed string) (lines string, err error) {
	for range 2 {
		status, answer, err := l.post(ctx, p, size, signed)
		if err != nil {
			return "", err
		}
		switch status {
		case http.StatusOK:
			text, _, _ := strings.Cut(signed, "\n\n")
			if _, err := note.Open([]byte(text+"\n\n"+answer), note.VerifierList(p.verifier)); err != nil {
				return "", fmt.Errorf("the witness's cosignature: %w", err)
			}
			p.size = size
			return answer, nil
		case http.StatusConflict:
			saw, err := strconv.ParseInt(strings.TrimSpace(answer), 10, 64)
			if err != nil || saw < 0 {
				return "", fmt.Errorf("the witness has seen another size, and calls it %q", answer)
			}
			if saw > size {
				now, err := l.head(ctx) // another hub on the same database may have shown more
				if err == nil && now.size >= saw {
					return "", fmt.Errorf("the witness has seen %d entries already", saw)
				}
				return "", fmt.Errorf("the witness has seen %d entries, the log holds %d: %w", saw, size, errors.Join(errEnded, err))
			}
			p.size = saw
		case http.StatusNotFound:
			return "", fmt.Errorf("the witness does not know a log of the name %s: give its owner the name and the log's public key", l.name)
		case http.StatusForbidden:
			return "", fmt.Errorf("the witness knows another key for %s: give its owner the log's public key", l.name)
		case http.StatusUnprocessableEntity:
			return "", fmt.Errorf("the witness has seen %d entries that this log does not begin with: %w", p.size, errEnded)
		default:
			// omniwitness answers 500 where the specification wants 404 or 403.
			return "", fmt.Errorf("the witness answers %d %s: ask its owner whether it knows a log of the name %s, with this key",
				status, http.StatusText(status), l.name)
		}
	}
	return "", errors.New("the witness has seen another size again and again")
}

// post sends add-checkpoint, c2sp.org/tlog-witness.
func (l *Log) post(ctx context.Context, p *peer, size int64, signed string) (status int, answer string, err error) {
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", p.size)
	if p.size > 0 && p.size < size {
		hashes, err := tlog.ProveTree(size, p.size, l.hashes(ctx))
		if err != nil {
			return 0, "", fmt.Errorf("prove that the log grew from %d to %d: %w", p.size, size, err)
		}
		for _, h := range hashes {
			fmt.Fprintln(&body, base64.StdEncoding.EncodeToString(h[:]))
		}
	}
	fmt.Fprintf(&body, "\n%s", signed)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(p.URL, "/")+"/add-checkpoint", &body)
	if err != nil {
		return 0, "", err
	}
	response, err := l.Client.Do(request)
	if err != nil {
		return 0, "", fmt.Errorf("reach the witness: %w", err)
	}
	defer response.Body.Close()
	in, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, "", fmt.Errorf("hear the witness: %w", err)
	}
	return response.StatusCode, string(in), nil
}
