package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// highest is the exposure, of 10, that the daemon may not reach by systemd's own count. Asking whether the clock is
// synchronised costs 0.4 of it, as if the daemon could set the clock, which without capabilities it cannot.
const highest = 2.1

// installed copies the unit files to where the daemon they start exists, as on a box.
func installed(t *testing.T) (directory string) {
	t.Helper()
	directory = t.TempDir()
	program := filepath.Join(directory, "tapwardd")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, unit := range []string{"tapwardd.service", "tapwardd.socket"} {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		there := strings.ReplaceAll(string(text), "/usr/bin/tapwardd", program)
		if err := os.WriteFile(filepath.Join(directory, unit), []byte(there), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

func analyze(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := exec.Command("systemd-analyze", arguments...).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze %s: %v\n%s", arguments[0], err, out)
	}
	return string(out)
}

func TestUnitsVerify(t *testing.T) {
	directory := installed(t)
	out := analyze(t, "verify", "--man=no", "--recursive-errors=one",
		filepath.Join(directory, "tapwardd.service"), filepath.Join(directory, "tapwardd.socket"))
	if out != "" {
		t.Errorf("systemd-analyze verify is not content:\n%s", out)
	}
}

// The check above must be able to fail.
func TestVerifySeesMistakes(t *testing.T) {
	directory := installed(t)
	unit := filepath.Join(directory, "tapwardd.service")
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(unit, []byte(strings.Replace(string(text), "ProtectSystem=", "ProtectSystm=", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=one", unit).CombinedOutput()
	if !strings.Contains(string(out), "ProtectSystm") {
		t.Errorf("a misspelt setting went unseen: %q", out)
	}
}

var overall = regexp.MustCompile(`Overall exposure level for tapwardd\.service: ([\d.]+)`)

func TestExposure(t *testing.T) {
	out := analyze(t, "security", "--offline=true", "--no-pager", filepath.Join(installed(t), "tapwardd.service"))
	found := overall.FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no exposure in:\n%s", out)
	}
	exposure, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("exposure %.1f, at most %.1f", exposure, highest)
	if exposure >= highest {
		t.Errorf("exposure %.1f is not below %.1f:\n%s", exposure, highest, out)
	}
}
