package agent

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tapward/gateway"
)

func newStateFile(t testing.TB) (string, *StateFile, State) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state")
	if err := CreateStateFile(path, "phone-1"); err != nil {
		t.Fatal(err)
	}
	f, s, err := OpenStateFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return path, f, s
}

// fullState is as large as states are.
func fullState(fence gateway.Fence) State {
	s := State{Phone: "phone-1", Fence: fence, Boot: "boot-1", Session: &Session{
		Grant: gateway.Grant{Box: "west", Phone: "phone-1", Fence: fence, Lease: 60}, Signed: strings.Repeat("g", 700), Name: "Demo Nurse",
	}}
	for i := range Remembered {
		s = s.Remember(Answer{"west", fmt.Sprint("id-", i), strings.Repeat("r", 800)})
	}
	return s
}

// TestTornWrite cuts the write of a new state, at every byte near its ends and at many in between: what is read is the new state or the one before.
func TestTornWrite(t *testing.T) {
	path, f, _ := newStateFile(t)
	for fence := gateway.Fence(1); fence <= 2; fence++ {
		if err := f.Save(fullState(fence)); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	slot, err := encodeSlot(fullState(3), f.generation+1)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(slot) + 1 {
		if n > 300 && n < len(slot)-100 && n%101 != 0 {
			continue
		}
		torn := append([]byte(nil), content...)
		copy(torn[slotOffset(f.generation+1):], slot[:n])
		want := gateway.Fence(2)
		if n == len(slot) {
			want = 3
		}
		if s, _, err := newest(torn); err != nil || s.Fence != want {
			t.Fatalf("cut after %d of %d bytes: fence %d, want %d (%v)", n, len(slot), s.Fence, want, err)
		}
	}
}

// TestKilledWhileStoring kills a process that stores states as fast as it can; what it acknowledged is never lost.
func TestKilledWhileStoring(t *testing.T) {
	path, f, _ := newStateFile(t)
	f.Close()
	acknowledged := gateway.Fence(0)
	for range 10 {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestStoreUntilKilled$")
		cmd.Env = append(os.Environ(), "STORE_UNTIL_KILLED="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 7 {
			if !lines.Scan() {
				t.Fatal("the writer ended by itself")
			}
		}
		cmd.Process.Kill()
		for more := true; more; more = lines.Scan() {
			fmt.Sscanf(lines.Text(), "stored %d", &acknowledged)
		}
		cmd.Wait()
		f, s, err := OpenStateFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if s.Fence < acknowledged || s.Fence > acknowledged+1 {
			t.Fatalf("fence %d was stored, %d is read", acknowledged, s.Fence)
		}
	}
}

// TestStoreUntilKilled is the process that TestKilledWhileStoring kills.
func TestStoreUntilKilled(t *testing.T) {
	path := os.Getenv("STORE_UNTIL_KILLED")
	if path == "" {
		return
	}
	f, s, err := OpenStateFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for fence := s.Fence + 1; ; fence++ {
		if err := f.Save(fullState(fence)); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("stored %d\n", fence)
	}
}

func TestStateFileRefusals(t *testing.T) {
	path, _, _ := newStateFile(t)
	if _, _, err := OpenStateFile(path); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("opened twice: %v", err)
	}
	if err := CreateStateFile(path, "phone-2"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created over an existing one: %v", err)
	}
	if _, _, err := OpenStateFile(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(damaged, make([]byte, 2*slotSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenStateFile(damaged); err == nil || !strings.Contains(err.Error(), "paired again") {
		t.Errorf("a damaged file: %v", err)
	}
}

func FuzzSlots(f *testing.F) {
	slot, err := encodeSlot(fullState(7), 5)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(slot)
	f.Add(append(make([]byte, slotSize), slot...))
	f.Add(slot[:len(slot)-1])
	f.Add([]byte(slotMagic))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, generation, err := newest(content)
		if err != nil {
			return
		}
		again, err := encodeSlot(s, generation)
		if err != nil {
			return // larger than any state that was ever stored
		}
		if back, g, err := decodeSlot(again); err != nil || g != generation || back.Fence != s.Fence {
			t.Fatalf("encoded anew: fence %d generation %d, %v", back.Fence, g, err)
		}
	})
}

func BenchmarkSave(b *testing.B) {
	_, f, _ := newStateFile(b)
	for b.Loop() {
		if err := f.Save(fullState(gateway.Fence(b.N))); err != nil {
			b.Fatal(err)
		}
	}
}
