package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tapward/gateway"
)

// report is what may be sent on. Every field is named here: nothing about a person, no badge, hash or key can come in by
// a structure of the box that grows.
type report struct {
	Made     time.Time      `json:"made"`
	Program  string         `json:"program"`
	System   string         `json:"system"`
	Kernel   string         `json:"kernel"`
	Findings []finding      `json:"findings"`
	Box      *reportBox     `json:"box,omitempty"` // absent: the daemon does not answer
	Phones   []reportPhone  `json:"phones,omitempty"`
	Readers  []reportReader `json:"readers,omitempty"`
	Taps     []reportTap    `json:"taps,omitempty"`
}

type reportBox struct {
	Box           gateway.BoxID `json:"box"`
	Ward          string        `json:"ward"`
	Up            string        `json:"up"`
	PolicyVersion uint64        `json:"policy_version"`
	PolicySigned  bool          `json:"policy_signed"`
	Records       int64         `json:"records"`
	Clock         string        `json:"clock"`
	Uplink        string        `json:"uplink"`
	Storage       string        `json:"storage"`
	NotPaired     int           `json:"seen_not_paired"`
}

type reportPhone struct {
	ID      gateway.PhoneID `json:"id"`
	Class   gateway.Class   `json:"class"`
	Pool    string          `json:"pool"`
	Phase   string          `json:"phase"`
	Locked  bool            `json:"locked"`
	Reason  gateway.Reason  `json:"reason,omitempty"`
	Fence   gateway.Fence   `json:"fence"`
	Linked  bool            `json:"linked"`
	Healthy bool            `json:"healthy"`
	Battery int             `json:"battery"`
}

type reportReader struct {
	ID    gateway.ReaderID `json:"id"`
	State string           `json:"state"`
	Note  string           `json:"note,omitempty"`
}

type reportTap struct {
	At     time.Time        `json:"at"`
	Reader gateway.ReaderID `json:"reader"`
	Signal string           `json:"signal"`
	Reason gateway.Reason   `json:"reason"`
	Phone  gateway.PhoneID  `json:"phone,omitempty"`
}

func newReport(findings []finding, w *gateway.Ward) report {
	r := report{Made: time.Now(), Program: program(), System: system(), Kernel: kernelRelease(), Findings: findings}
	if w == nil {
		return r
	}
	r.Box = &reportBox{
		Box: w.Box, Ward: w.Name, Up: w.Up.Round(time.Second).String(), PolicyVersion: w.Policy.Version,
		PolicySigned: w.Policy.Signed, Records: w.Log.Size, Clock: w.Clock, Uplink: string(w.Uplink.State), Storage: w.Storage.String(),
		NotPaired: len(w.Seen),
	}
	for _, p := range w.Phones {
		r.Phones = append(r.Phones, reportPhone{p.ID, p.Class, p.Pool, p.Phase, p.Locked, p.Reason, p.Fence, p.Linked, p.Healthy, p.Battery})
	}
	for _, d := range w.Readers {
		r.Readers = append(r.Readers, reportReader{d.ID, d.State.String(), d.Note})
	}
	for _, t := range w.Taps {
		r.Taps = append(r.Taps, reportTap{t.At, t.Reader, t.Signal.String(), t.Reason, t.Phone})
	}
	return r
}

// writeReport makes a new file; one that is there may be somebody's evidence.
func writeReport(path string, findings []finding, p patient) error {
	text, err := json.MarshalIndent(newReport(findings, p.ward), "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func program() string {
	version := "of unknown version"
	if build, ok := debug.ReadBuildInfo(); ok {
		version = build.Main.Version
	}
	return fmt.Sprintf("tapward %s, %s %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func system() string {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(strings.TrimSpace(name), `"`)
		}
	}
	return "unknown"
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
