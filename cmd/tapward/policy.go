package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"tapward/gateway"
	"tapward/gateway/policy"
)

type policyCommands struct {
	Check policyCheck `cmd:"" help:"Say everything that is wrong with a policy document, and what it means for a ward."`
	Load  policyLoad  `cmd:"" help:"Make a policy document the one in force."`
}

type policyCheck struct {
	File string `arg:"" type:"existingfile" help:"The document, as docs/policy.md describes it."`
	Ward string `required:"" help:"The ward to look at it from."`
}

func (c policyCheck) Run(t terminal) error {
	_, doc, err := readPolicy(c.File)
	if err != nil {
		return err
	}
	ward, ok := doc.Ward(c.Ward)
	if !ok {
		return fmt.Errorf("%s is well-formed and has no ward %q; it has %q", c.File, c.Ward, wardIDs(doc))
	}
	s := newColumns(t.out)
	s.row("policy", fmt.Sprintf("version %d of site %s", doc.Version, doc.Site))
	s.row("digest", doc.Digest().String())
	s.row("standing", standing(doc))
	s.row("ward", fmt.Sprintf("%s, %q: %s, %s", ward.ID, ward.Name, count(readersOf(doc, ward.ID), "reader"), peopleOf(doc, ward.ID)))
	for _, class := range gateway.Classes {
		terms := doc.Classes[class].Terms
		s.row(string(class), fmt.Sprintf("lease %s, idle %s, limit %s", terms.Lease, terms.Idle, terms.Limit))
	}
	return s.end()
}

// readPolicy reads and checks a document.
func readPolicy(path string) ([]byte, policy.Document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, policy.Document{}, fmt.Errorf("read policy: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, policy.MaxDocument+1))
	if err != nil {
		return nil, policy.Document{}, fmt.Errorf("read policy: %w", err)
	}
	doc, err := policy.Parse(text)
	if err != nil {
		return nil, policy.Document{}, fmt.Errorf("%s: %w", path, err)
	}
	return text, doc, nil
}

func standing(doc policy.Document) string {
	if doc.Signed() {
		return "signed by both departments"
	}
	return gateway.UnsignedPolicy.Sentence()
}

func wardIDs(doc policy.Document) (ids []string) {
	for _, w := range doc.Wards {
		ids = append(ids, w.ID)
	}
	return ids
}

func readersOf(doc policy.Document, ward string) (n int) {
	for _, r := range doc.Readers {
		if r.Ward == ward {
			n++
		}
	}
	return n
}

// peopleOf counts who may act on a ward. Nobody is named: the document does that.
func peopleOf(doc policy.Document, ward string) string {
	people, badges, revoked := 0, 0, 0
	for _, c := range doc.Clinicians {
		switch {
		case !slices.Contains(c.Wards, ward):
			continue
		case c.Revoked:
			revoked++
			continue
		}
		people++
		badges += len(c.Badges)
	}
	return fmt.Sprintf("%s with %s, %d revoked", count(people, "clinician"), count(badges, "badge"), revoked)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// policyLoad gives a document to the running box or, where none runs, puts it into the box's database itself.
type policyLoad struct {
	Box
	File string `arg:"" type:"existingfile" help:"The document, as docs/policy.md describes it."`

	Data   string        `type:"path" placeholder:"DIR" help:"The data folder of a box that does not run: store the policy there." group:"Without a running box:"`
	Name   gateway.BoxID `name:"box" help:"That box's name." group:"Without a running box:"`
	Ward   string        `help:"The ward that box serves." group:"Without a running box:"`
	Create bool          `help:"The box is new: make its database." group:"Without a running box:"`
}

// AfterApply refuses a command line that is half for a running box.
func (c policyLoad) AfterApply() error {
	switch stopped := c.Data != ""; {
	case stopped && (c.Name == "" || c.Ward == ""):
		return errors.New("--data needs --box and --ward too, as in the box's configuration")
	case !stopped && (c.Name != "" || c.Ward != "" || c.Create):
		return errors.New("--box, --ward and --create belong to --data, for a box that does not run")
	}
	return nil
}

func (c policyLoad) Run(ctx context.Context, t terminal) error {
	text, doc, err := readPolicy(c.File)
	if err != nil {
		return err
	}
	if c.Data == "" {
		if err := c.client().LoadPolicy(ctx, text); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "Policy version %d is in force: the running box took it.\n", doc.Version)
	} else {
		at, err := c.store(ctx, text, doc)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "Policy version %d is stored in %s: it is in force when tapwardd starts.\n", doc.Version, at)
	}
	if !doc.Signed() {
		fmt.Fprintln(t.out, gateway.UnsignedPolicy.Sentence())
	}
	return nil
}
