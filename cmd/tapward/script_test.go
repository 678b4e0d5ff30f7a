package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"tapward/gateway/isolate"
	"tapward/gateway/store"
)

// The stories start real daemons: pcscd, and tapwardd with its ports and its multicast.
func TestMain(m *testing.M) { isolate.Main(m) }

// TestScripts plays the stories in testdata with the real tool and, where they say so, the real daemon.
func TestScripts(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "tapward/cmd/tapward", "tapward/cmd/tapwardd")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, said)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			data := filepath.Join(env.WorkDir, "data")
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("DATA", data)
			env.Setenv("DB", filepath.Join(data, store.DatabaseFile))
			env.Setenv("TAPWARD_SOCKET", filepath.Join(data, "tapward.sock"))
			s := &stage{}
			env.Values[onStage{}] = s
			env.Defer(s.clear)
			return os.Mkdir(data, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"expand":  expand,
			"keep":    keep,
			"ward":    ward,
			"serial":  openSerial,
			"tap":     tap,
			"phone":   startPhone,
			"await":   await,
			"pcscd":   startPCSCD,
			"hold":    hold,
			"flip":    flip,
			"cut":     cut,
			"nowhere": nowhere,
		},
	})
}
