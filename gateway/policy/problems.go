package policy

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a document. It never repeats what the document says about a person.
type Problem struct {
	Line  int    // 0: the document as a whole
	Where string // which key, or which entry of which list, counted from 1
	What  string // what is wrong and what to do
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Where != "" {
		fmt.Fprintf(&b, "%s: ", p.Where)
	}
	return b.String() + p.What
}

// Problems is the error of Parse: all of them, in the order of the document.
type Problems []Problem

// shown bounds the problems that are put into words; a roster of the wrong shape has one for every line.
const shown = 50

func (ps Problems) Error() string {
	if len(ps) == 1 {
		return "policy document: " + ps[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "policy document: %d problems:", len(ps))
	for i, p := range ps {
		if i == shown {
			fmt.Fprintf(&b, "\n  and %d more", len(ps)-shown)
			break
		}
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}
