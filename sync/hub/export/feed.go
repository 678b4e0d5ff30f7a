package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"
)

type feed struct {
	Feed
	exporter *Exporter
	log      *slog.Logger
	woken    chan struct{}
	begun    bool
	failures int // in a row
}

// run delivers what there is, then waits, until ctx ends. Whatever fails, the receiver, the archive or the database, is
// tried again.
func (f *feed) run(ctx context.Context) {
	defer f.close()
	for ctx.Err() == nil {
		more, err := f.round(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			f.stand(ctx, err)
		default:
			f.recovered()
			if !more {
				f.wait(ctx, f.exporter.config.Poll, f.woken)
			}
		}
	}
}

func (f *feed) close() {
	if c, ok := f.Target.(io.Closer); ok {
		if err := c.Close(); err != nil {
			f.log.Warn("cannot let go of the receiver", "error", err)
		}
	}
}

// begin makes the feed known where it is new.
func (f *feed) begin(ctx context.Context) error {
	if f.begun {
		return nil
	}
	place, err := int64(0), error(nil)
	if f.FromNow {
		if place, err = f.exporter.config.Archive.Settled(ctx); err != nil {
			return err
		}
	}
	if err := f.exporter.begin(ctx, f.Name, place); err != nil {
		return err
	}
	f.begun = true
	return nil
}

// round tries dead letters that somebody wants to be tried, then delivers one batch. more says that another may follow at
// once.
func (f *feed) round(ctx context.Context) (more bool, err error) {
	if err := f.begin(ctx); err != nil {
		return false, err
	}
	if err := f.retry(ctx); err != nil {
		return false, err
	}
	s, err := f.exporter.Standing(ctx, f.Name)
	if err != nil {
		return false, err
	}
	settled, err := f.exporter.config.Archive.Settled(ctx)
	if err != nil {
		return false, err
	}
	doubted := s.Refused >= f.Patience
	limit := f.Batch
	if doubted {
		limit = 1
	}
	records, err := f.exporter.config.Archive.Since(ctx, s.Place, limit)
	if err != nil {
		return false, err
	}
	if len(records) == 0 {
		if settled > s.Place { // what lay there is no longer kept
			return true, f.advance(ctx, step{from: s.Place, to: settled, refused: s.Refused})
		}
		return false, f.clear(ctx, s)
	}
	return true, f.deliver(ctx, s, records, doubted)
}

// clear forgets a trouble that passed without a record in between.
func (f *feed) clear(ctx context.Context, s Standing) error {
	if s.Trouble == "" {
		return nil
	}
	return f.advance(ctx, step{from: s.Place, to: s.Place, refused: s.Refused})
}

// deliver hands records over and makes true what was answered, also where the rest failed.
func (f *feed) deliver(ctx context.Context, s Standing, records []Record, doubted bool) error {
	answers, failed := f.Target.Deliver(ctx, records)
	if len(answers) > len(records) || failed == nil && len(answers) < len(records) {
		failed = fmt.Errorf("%d answers for %d records", len(answers), len(records))
		answers = nil
	}
	next := step{from: s.Place, to: s.Place, refused: s.Refused, at: time.Now()}
	for i, a := range answers {
		r := records[i]
		switch {
		case a.Refused == "":
			next.refused = 0
			f.count(&next)
		case doubted || next.refused >= f.Patience:
			failed = fmt.Errorf("the receiver refused the last %d records; the newest words: %s", next.refused, a.Refused)
			return errors.Join(f.settle(ctx, next), failed)
		default:
			next.refused++
			next.dead = append(next.dead, Dead{Feed: f.Name, Seq: r.Seq, Record: r.Name(), Kind: r.Kind(), Words: said(a.Refused)})
		}
		next.to = r.Seq
	}
	if err := f.settle(ctx, next); err != nil {
		return err
	}
	return failed
}

func (f *feed) count(s *step) {
	if f.Target.Confirms() {
		s.delivered++
	} else {
		s.sent++
	}
}

// settle makes a step true, where it leads anywhere. What the receiver has answered is written down even if ctx has ended.
func (f *feed) settle(ctx context.Context, s step) error {
	if s.to == s.from {
		return nil
	}
	for _, d := range s.dead {
		f.log.Warn("refused by the receiver; see the dead letters", "record", d.Record, "kind", d.Kind, "words", d.Words)
	}
	return f.advance(context.WithoutCancel(ctx), s)
}

// advance takes a feed that was moved meanwhile for what it is: the next round reads where it stands.
func (f *feed) advance(ctx context.Context, s step) error {
	err := f.exporter.advance(ctx, f.Name, s)
	if errors.Is(err, errMoved) {
		f.log.Info("somebody moved the feed; it goes on from there")
		return nil
	}
	return err
}

// retry tries dead letters one by one.
func (f *feed) retry(ctx context.Context) error {
	wanted, err := f.exporter.wanted(ctx, f.Name, f.Batch)
	if err != nil {
		return err
	}
	for _, d := range wanted {
		records, err := f.exporter.config.Archive.Since(ctx, d.Seq-1, 1)
		if err != nil {
			return err
		}
		if len(records) == 0 || records[0].Seq != d.Seq {
			d.Words = "the archive no longer keeps the record"
			if err := bury(ctx, f.exporter.db, d, time.Now()); err != nil {
				return err
			}
			continue
		}
		answers, err := f.Target.Deliver(ctx, records)
		switch {
		case len(answers) != 1:
			return errors.Join(err, errNoAnswer)
		case answers[0].Refused != "":
			d.Words = said(answers[0].Refused)
			err = bury(context.WithoutCancel(ctx), f.exporter.db, d, time.Now())
		default:
			err = f.exporter.raise(context.WithoutCancel(ctx), d, f.Target.Confirms(), time.Now())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errNoAnswer = errors.New("no answer for a dead letter")

// stand writes down why the feed stands still, and waits, longer each time.
func (f *feed) stand(ctx context.Context, why error) {
	if f.failures++; f.failures == 1 {
		f.log.Warn("cannot deliver; trying again", "error", why)
	}
	if err := f.exporter.trouble(ctx, f.Name, said(why.Error()), time.Now()); err != nil && ctx.Err() == nil {
		f.log.Warn("cannot write down why a feed stands still", "error", err)
	}
	f.wait(ctx, f.pause(why), nil)
}

// pause is the doubled first wait, at most Most, less up to half of it by chance, so that receivers are not all asked at
// once. One that names a time gets it.
func (f *feed) pause(err error) time.Duration {
	c := f.exporter.config
	wait := min(c.First<<min(f.failures-1, 30), c.Most)
	if wait <= 0 {
		wait = c.Most
	}
	wait -= rand.N(wait/2 + 1)
	var busy *Busy
	if errors.As(err, &busy) {
		wait = min(max(wait, busy.After), max(c.Most, time.Hour))
	}
	return wait
}

func (f *feed) recovered() {
	if f.failures > 0 {
		f.log.Info("delivers again", "failures", f.failures)
	}
	f.failures = 0
}

func (f *feed) wait(ctx context.Context, d time.Duration, woken <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-woken:
	case <-timer.C:
	}
}

// mostSaid bounds what is kept of a receiver's words.
const mostSaid = 1000

func said(words string) string {
	words = Line(words)
	if runes := []rune(words); len(runes) > mostSaid {
		return string(runes[:mostSaid]) + " …"
	}
	return words
}
