package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// confirm asks a question that only "y" and "yes" answer with yes.
func (t terminal) confirm(question string) (bool, error) {
	fmt.Fprintf(t.out, "%s [y/N] ", question)
	answer, err := bufio.NewReader(t.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// maxLine bounds what secretLine reads, in bytes.
const maxLine = 1024

// secretLine reads one line without showing it on a terminal, and without the blanks and line ends around it.
func (t terminal) secretLine(prompt string) (string, error) {
	if isTerminal(t.in) {
		fmt.Fprint(os.Stderr, prompt+": ")
		defer fmt.Fprintln(os.Stderr)
		restore, err := hideTyping(int(t.in.(*os.File).Fd()))
		if err != nil {
			return "", fmt.Errorf("hide what is typed: %w", err)
		}
		defer restore()
	}
	line, err := bufio.NewReader(io.LimitReader(t.in, maxLine)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	return strings.TrimSpace(line), nil
}

func hideTyping(fd int) (restore func(), err error) {
	shown, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	hidden := *shown
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return nil, err
	}
	return func() { unix.IoctlSetTermios(fd, unix.TCSETS, shown) }, nil
}
