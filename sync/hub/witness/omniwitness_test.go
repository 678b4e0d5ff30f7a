package witness_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/transparency-dev/formats/note"
	sumdb "golang.org/x/mod/sumdb/note"
)

// omniwitnessVersion is the witness that nobody here wrote.
const omniwitnessVersion = "github.com/transparency-dev/witness/cmd/omniwitness@v0.0.0-20260720115447-2e1c6971d19e"

// omniwitness builds the program once for each machine, and gives its path.
func omniwitness(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	must(err)
	dir := filepath.Join(cache, "tapward-test-tools", filepath.Base(omniwitnessVersion))
	path := filepath.Join(dir, "omniwitness")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	build := exec.Command("go", "install", omniwitnessVersion)
	build.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	build.Dir = os.TempDir()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build omniwitness: %v\n%s", err, out)
	}
	return path
}

// peer is a running omniwitness that knows some logs.
type peer struct {
	t        *testing.T
	program  string
	dir      string
	url, key string
	verifier sumdb.Verifier
	process  *exec.Cmd
}

// startWitness starts one that knows logs by their names and verifier keys.
func startWitness(t *testing.T, name string, logs map[string]string) *peer {
	t.Helper()
	p := &peer{t: t, program: omniwitness(t), dir: t.TempDir()}
	secret, public, err := sumdb.GenerateKey(rand.Reader, name)
	must(err)
	p.verifier, err = note.NewVerifierForCosignatureV1(public)
	must(err)
	p.key = public
	list := "Logs:\n"
	for origin, key := range logs {
		list += fmt.Sprintf("  - Origin: %s\n    PublicKey: %s\n    URL: http://127.0.0.1:1/\n", origin, key)
	}
	must(os.WriteFile(filepath.Join(p.dir, "logs.yaml"), []byte(list), 0o600))
	must(os.WriteFile(filepath.Join(p.dir, "key"), []byte(secret+"\n"), 0o600))
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *peer) start() {
	p.t.Helper()
	listen := freeAddress()
	p.url = "http://" + listen
	p.process = exec.Command(p.program, "--listen", listen, "--metrics_listen", freeAddress(),
		"--private_key_path", filepath.Join(p.dir, "key"), "--db_file", filepath.Join(p.dir, "witness.db"),
		"--additional_logs", filepath.Join(p.dir, "logs.yaml"))
	p.process.Stderr = nil
	must(p.process.Start())
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
		must(err)
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			return
		}
		if ctx.Err() != nil {
			p.t.Fatal("omniwitness does not answer")
		}
	}
}

func (p *peer) kill() {
	if p.process == nil {
		return
	}
	_ = p.process.Process.Kill()
	_ = p.process.Wait()
	p.process = nil
}

func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer l.Close()
	return l.Addr().String()
}
