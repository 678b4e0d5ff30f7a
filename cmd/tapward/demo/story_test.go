package demo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStory plays the whole story on real parts.
func TestStory(t *testing.T) {
	t.Parallel()
	_, tool := programs(t)
	dir := filepath.Join(t.TempDir(), "ward")
	said, err := exec.Command(tool, append([]string{"sim", "story", dir}, anyPorts...)...).CombinedOutput()
	t.Logf("%s", said)
	if err != nil {
		t.Fatal(err)
	}
	if steps := strings.Count(string(said), "\nok ") + strings.Count(string(said[:3]), "ok "); steps != len(story) {
		t.Errorf("%d steps are told as well done, the story has %d", steps, len(story))
	}
	if left := alive(t, "", dir); len(left) > 0 {
		t.Errorf("processes %v outlive the story", left)
	}
}

// TestStoryNotices holds that the story fails where something goes wrong: here a phone whose body nobody can put into a
// dock, so that a return never happens.
func TestStoryNotices(t *testing.T) {
	t.Parallel()
	fails(t, "tapward-phone", `[ "$2" = dock ] && exit 0`,
		"FAILED  Ben puts the phone into the rack", "does not show that phone-1 is free", `bound "Ben Sample"`)
}

// TestStoryComparesCodes holds that a box is not let in where the hub shows another code than the box.
func TestStoryComparesCodes(t *testing.T) {
	t.Parallel()
	fails(t, "tapward-hub", `[ "$1" = claims ] && { echo "1  demo-box  5b  0000 0000"; exit 0; }`, "FAILED  A new ward opens", "the hub shows another")
}

// fails plays the story with one program broken by a line of shell before it, and wants it to fail in these words.
func fails(t *testing.T, program, line string, words ...string) {
	t.Helper()
	bin, _ := programs(t)
	broken := t.TempDir()
	for _, name := range programNames {
		if name != program {
			copyProgram(t, filepath.Join(bin, name), filepath.Join(broken, name))
		}
	}
	script := "#!/bin/sh\n" + line + "\nexec " + filepath.Join(bin, program) + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(broken, program), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "ward")
	out, err := exec.Command(filepath.Join(broken, "tapward"), append([]string{"sim", "story", dir}, anyPorts...)...).CombinedOutput()
	said := string(out)
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 {
		t.Errorf("the story ended with %v, want exit status 1", err)
	}
	for _, want := range words {
		if !strings.Contains(said, want) {
			t.Errorf("the story does not say %q:\n%s", want, said)
		}
	}
	if left := alive(t, "", dir); len(left) > 0 {
		t.Errorf("processes %v outlive the failed story", left)
	}
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Link(from, to); err == nil {
		return
	}
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}
