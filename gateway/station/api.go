package station

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tapward/gateway"
	"tapward/gateway/policy"
)

func (s *Station) getWard(w http.ResponseWriter, _ *http.Request) {
	ward, _ := s.engine.Ward()
	writeJSON(w, http.StatusOK, ward)
}

func (s *Station) postPhone(w http.ResponseWriter, r *http.Request) {
	var phone gateway.Phone
	err := decode(r, &phone)
	if err == nil {
		err = checkPhone(phone)
	}
	s.answer(w, r, gateway.AddPhone{Phone: phone}, err)
}

func (s *Station) deletePhone(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, gateway.RemovePhone{Phone: phoneOf(r)}, nil)
}

func (s *Station) postRelease(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, gateway.ReleasePhone{Phone: phoneOf(r)}, nil)
}

// takeOverRequest is the body of POST /v1/takeover; an empty phone disarms.
type takeOverRequest struct {
	Reader gateway.ReaderID `json:"reader"`
	Phone  gateway.PhoneID  `json:"phone"`
}

func (s *Station) postTakeOver(w http.ResponseWriter, r *http.Request) {
	var asked takeOverRequest
	err := decode(r, &asked)
	s.answer(w, r, gateway.TakeOver(asked), err)
}

func (s *Station) postPolicy(w http.ResponseWriter, r *http.Request) {
	document, err := io.ReadAll(r.Body)
	s.answer(w, r, gateway.LoadPolicy{Document: document}, err)
}

// answer does the act, unless the request could not be read as one, and writes what came of it.
func (s *Station) answer(w http.ResponseWriter, r *http.Request, act gateway.Act, failed error) {
	if failed == nil {
		failed = s.act(r, act)
	}
	if failed != nil {
		writeProblem(w, statusOf(failed), wordsOf(failed))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// actWait bounds an act; the servers' write timeout is longer.
const actWait = 20 * time.Second

// act hands an act to the engine under the caller's name.
func (s *Station) act(r *http.Request, act gateway.Act) error {
	ctx, cancel := context.WithTimeout(r.Context(), actWait)
	defer cancel()
	who := callerOf(ctx)
	err := s.engine.Do(ctx, who.operator, act)
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // whatever the engine says about it, nobody waited for the outcome
	}
	if err != nil && statusOf(err) == http.StatusInternalServerError {
		s.log.Error("operator act failed", "act", fmt.Sprintf("%T", act), "error", err)
	}
	return err
}

// decode reads one JSON value, strictly.
func decode(r *http.Request, to any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(to)
	if err == nil && d.More() {
		err = errors.New("more than one value")
	}
	if is[*http.MaxBytesError](err) {
		return err
	}
	if err != nil {
		return badRequest{"the request is not the JSON that was expected: " + err.Error()}
	}
	return nil
}

func phoneOf(r *http.Request) gateway.PhoneID { return gateway.PhoneID(r.PathValue("id")) }

// checkPhone says everything that is wrong with a phone to be paired and that the engine does not judge. What it judges is
// left to it: its refusals are in the log.
func checkPhone(p gateway.Phone) error {
	var wrong []string
	if p.Pool != "" && !policy.ValidID(p.Pool) {
		wrong = append(wrong, "pool: "+policy.IDRule)
	}
	if len(p.Addrs) > maxAddrs {
		wrong = append(wrong, fmt.Sprintf("addrs: at most %d addresses", maxAddrs))
	}
	for _, a := range p.Addrs {
		if !goodAddr(a) {
			wrong = append(wrong, fmt.Sprintf("addrs: %.80q is not host:port", a))
		}
	}
	if wrong != nil {
		return badRequest{strings.Join(wrong, "\n")}
	}
	return nil
}

const maxAddrs = 8

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)

func goodAddr(a string) bool {
	if at, err := netip.ParseAddrPort(a); err == nil {
		return at.Port() != 0
	}
	host, port, ok := strings.Cut(a, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	return ok && err == nil && n != 0 && hostName.MatchString(host)
}
