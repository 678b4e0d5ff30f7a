package policy

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// located turns notes into problems with the line each is about, in the order of the document.
func located(doc []byte, found []note) Problems {
	lines := linesOf(doc)
	out := make(Problems, 0, len(found))
	for _, n := range found {
		out = append(out, Problem{lines.of(n.path), spoken(n.path), n.what})
	}
	slices.SortStableFunc(out, func(a, b Problem) int { return a.Line - b.Line })
	return out
}

// lines maps a path ("reader[2].pool") to the line of its key.
type lines map[string]int

// of is the line of the path, or of the nearest thing around it that the document has.
func (l lines) of(path string) int {
	for path != "" {
		if line, ok := l[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return 0
}

// linesOf reads a document that is known to be good TOML.
func linesOf(doc []byte) lines {
	var (
		out    = lines{}
		counts = map[string]int{} // of the array tables so far
		at     = position{doc: doc, line: 1}
		header string
		p      unstable.Parser
	)
	p.Reset(doc)
	for p.NextExpression() {
		e := p.Expression()
		keys := e.Key()
		var parts []string
		line := 0
		for keys.Next() {
			parts = append(parts, string(keys.Node().Data))
			if line == 0 {
				line = at.lineOf(int(keys.Node().Raw.Offset))
			}
		}
		switch e.Kind {
		case unstable.Table:
			header = indexed("", parts, counts)
			out.add(header, line)
		case unstable.ArrayTable:
			last := len(parts) - 1
			path := join(indexed("", parts[:last], counts), parts[last])
			counts[path]++
			header = fmt.Sprintf("%s[%d]", path, counts[path])
			out.add(path, line)
			out.add(header, line)
		case unstable.KeyValue:
			out.add(indexed(header, parts, counts), line)
		}
	}
	return out
}

func (l lines) add(path string, line int) {
	if _, ok := l[path]; !ok {
		l[path] = line
	}
}

// indexed walks down from a path, through the newest entry of every array of tables on the way.
func indexed(path string, parts []string, counts map[string]int) string {
	for _, part := range parts {
		path = join(path, part)
		if n := counts[path]; n > 0 {
			path = fmt.Sprintf("%s[%d]", path, n)
		}
	}
	return path
}

// position counts lines forward through a document; offsets must not fall.
type position struct {
	doc  []byte
	from int
	line int
}

func (p *position) lineOf(offset int) int {
	offset = min(max(offset, p.from), len(p.doc))
	p.line += bytes.Count(p.doc[p.from:offset], []byte("\n"))
	p.from = offset
	return p.line
}

var index = regexp.MustCompile(`\[(\d+)\]`)

// spoken is a path as people say it: "reader[2].pool" is "reader 2, pool".
func spoken(path string) string {
	return strings.ReplaceAll(index.ReplaceAllString(path, " $1"), ".", ", ")
}
