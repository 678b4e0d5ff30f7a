package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tapward/gateway"
)

type badgeCommands struct {
	Hash badgeHash `cmd:"" help:"Print the roster's hash of a badge number that is read from standard input."`
}

// badgeHash makes the only form in which a badge may be stored. The number is never on a command line, where every user
// of the machine could read it, and never in anything that is printed.
type badgeHash struct {
	Data    string                 `required:"" type:"path" placeholder:"DIR" help:"The box's data folder, with its badge-key."`
	Kind    gateway.CredentialKind `required:"" enum:"uid,em,line" help:"uid: a PC/SC card's UID in hex. em: a 125 kHz badge's five bytes in hex. line: digits as the reader sends them."`
	Numbers []string               `arg:"" optional:"" hidden:""`
}

func (c badgeHash) Run(t terminal) error {
	if len(c.Numbers) > 0 {
		return errors.New("hash badge: give the number on standard input, not on the command line, where others can read it; it was not used")
	}
	text, err := os.ReadFile(filepath.Join(c.Data, badgeKey))
	if err != nil {
		return fmt.Errorf("hash badge: read the badge key: %w", err)
	}
	key, err := gateway.ParseBadgeKey(text)
	if err != nil {
		return fmt.Errorf("hash badge: read the badge key in %s: %w", c.Data, err)
	}
	line, err := t.secretLine("Badge number (not shown)")
	if err != nil {
		return fmt.Errorf("hash badge: %w", err)
	}
	number, err := badgeNumber(c.Kind, line)
	if err != nil {
		return fmt.Errorf("hash badge: %w", err)
	}
	fmt.Fprintln(t.out, gateway.NewCredential(c.Kind, number).Hash(key))
	return nil
}

// badgeNumber is the number in the form that readers report it. Its errors say nothing about the digits.
func badgeNumber(kind gateway.CredentialKind, text string) ([]byte, error) {
	if text == "" {
		return nil, errors.New("no number came on standard input")
	}
	if kind == gateway.Line {
		number := strings.ToUpper(text)
		if strings.Trim(number, "0123456789ABCDEF") != "" {
			return nil, errors.New("a line is digits only, without what surrounds them on the reader's line")
		}
		return []byte(number), nil
	}
	number, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "", "-", "").Replace(text))
	if err != nil {
		return nil, fmt.Errorf("a number of kind %s is hex digits, two for each byte", kind)
	}
	lengths := map[gateway.CredentialKind][]int{gateway.UID: {4, 7, 8, 10}, gateway.EM: {5}}[kind]
	for _, length := range lengths {
		if len(number) == length {
			return number, nil
		}
	}
	return nil, fmt.Errorf("a number of kind %s has %s bytes, not %d", kind,
		strings.ReplaceAll(strings.Trim(fmt.Sprint(lengths), "[]"), " ", ", "), len(number))
}
