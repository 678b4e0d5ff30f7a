package main

import (
	"bytes"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// expand replaces $NAME in files by the story's variables.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// keep puts the last line that the last command wrote, or what stands in it behind a mark, into a variable.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")
	value := lines[len(lines)-1]
	if len(args) > 1 {
		found := false
		for _, line := range lines {
			if _, after, ok := strings.Cut(line, args[1]); ok {
				value, found = strings.TrimSpace(after), true
			}
		}
		if !found {
			ts.Fatalf("%q does not stand in what was written", args[1])
		}
	}
	ts.Setenv(args[0], value)
}

// parts is where flip finds what: the value, after what it stands behind in the file.
var parts = map[string]string{
	"leaf":    `SELECT x'', body FROM leaf WHERE idx = ?`,
	"hash":    `SELECT x'', hashes FROM leaf WHERE idx = ?`,
	"salt":    `SELECT x'', salt FROM opening WHERE leaf = (SELECT id FROM leaf WHERE idx = ?) LIMIT 1`,
	"opening": `SELECT salt, value FROM opening WHERE leaf = (SELECT id FROM leaf WHERE idx = ?) LIMIT 1`,
}

// flip changes one bit in the file of a database, in the middle of a part of a record.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	file, what, index := ts.MkAbs(args[0]), args[1], args[2]
	var before, value []byte
	change(ts, file, func(db *sql.DB) error { return db.QueryRow(parts[what], index).Scan(&before, &value) })
	text, err := os.ReadFile(file)
	ts.Check(err)
	whole := slices.Concat(before, value)
	if n := bytes.Count(text, whole); n != 1 {
		ts.Fatalf("the %s of record %s stands %d times in the file", what, index, n)
	}
	text[bytes.Index(text, whole)+len(before)+len(value)/2] ^= 1
	ts.Check(os.WriteFile(file, text, 0o600))
}

// cut takes the newest record out of a database as somebody would who knows how.
func cut(ts *testscript.TestScript, neg bool, args []string) {
	change(ts, ts.MkAbs(args[0]), func(db *sql.DB) error {
		_, err := db.Exec(`DELETE FROM opening WHERE leaf = (SELECT max(id) FROM leaf); DELETE FROM leaf WHERE id = (SELECT max(id) FROM leaf)`)
		return err
	})
}

func change(ts *testscript.TestScript, file string, do func(*sql.DB) error) {
	db, err := sql.Open("sqlite3", file)
	ts.Check(err)
	defer db.Close()
	ts.Check(do(db))
}

// nowhere says that none of the words stands in any file of the story, in any case.
func nowhere(ts *testscript.TestScript, neg bool, args []string) {
	root := ts.MkAbs(args[0])
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, word := range args[1:] {
			if bytes.Contains(bytes.ToLower(text), bytes.ToLower([]byte(word))) {
				ts.Fatalf("%q stands in %s", word, path)
			}
		}
		return nil
	}))
}
