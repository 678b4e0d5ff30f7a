package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// keeper remembers addresses in a folder.
func keeper(dir string) (a *addresses, said *strings.Builder) {
	said = &strings.Builder{}
	return readAddresses(dir, slog.New(slog.NewTextHandler(said, nil))), said
}

// remembered is what a box that starts in the folder would try, of these phones.
func remembered(dir string, phones ...gateway.Phone) map[string]string {
	a, _ := keeper(dir)
	all := map[string]string{}
	a.propose(phones, func(s phone.Sighting) { all[s.Name] = fmt.Sprint(s.Addrs) })
	return all
}

func TestAddressesAreBoundedAndKept(t *testing.T) {
	dir := t.TempDir()
	one, two := gateway.Phone{ID: "phone-1"}, gateway.Phone{ID: "phone-2"}
	synctest.Test(t, func(t *testing.T) {
		a, _ := keeper(dir)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.run(ctx) }()
		for _, addr := range []string{"10.0.0.1:7", "10.0.0.2:7", "phone.example:7", "10.0.0.3:7", "10.0.0.4:7", "10.0.0.2:7"} {
			a.heard("phone-1", addr)
		}
		time.Sleep(addressPace)
		synctest.Wait()
		if have, want := remembered(dir, one, two), map[string]string{"phone-1": "[10.0.0.2:7 10.0.0.4:7 10.0.0.3:7]"}; !reflect.DeepEqual(have, want) {
			t.Errorf("remembered %v, want %v", have, want)
		}
		a.heard("phone-2", "[fe80::1%eth0]:7")
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if have, want := remembered(dir, two), map[string]string{"phone-2": "[[fe80::1%eth0]:7]"}; !reflect.DeepEqual(have, want) {
		t.Errorf("at the end %v, want %v", have, want)
	}
}

func TestAddressesThatCannotBeReadAreDoneWithout(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "{", `{"phone-1":["nowhere"]}`, "[]"} {
		write(t, filepath.Join(dir, addressFile), []byte(text))
		a, said := keeper(dir)
		a.propose([]gateway.Phone{{ID: "phone-1"}}, func(s phone.Sighting) { t.Errorf("%q made %+v", text, s) })
		if !strings.Contains(said.String(), "they are looked for") {
			t.Errorf("%q: said %q", text, said)
		}
	}
}

func TestAddressesThatCannotBeWrittenAreDoneWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, said := keeper(filepath.Join(t.TempDir(), "none"))
		ctx, cancel := context.WithTimeout(t.Context(), 2*addressPace)
		defer cancel()
		a.heard("phone-1", "10.0.0.1:7")
		if err := a.run(ctx); err != nil || !strings.Contains(said.String(), "Cannot write down") {
			t.Errorf("it ended with %v and said %q", err, said)
		}
	})
}

// TestBoxFindsItsPhonesWhereTheyWere restarts a box that was told no address and hears no adverts.
func TestBoxFindsItsPhonesWhereTheyWere(t *testing.T) {
	b := newBox(t, func(*Config) {})
	b.start()
	p := newHandset(t, b, "phone-1", handsetWith{})
	paired := p.paired()
	b.must(b.client.AddPhone(t.Context(), paired))
	b.await("the first link", func(w *gateway.Ward) bool { return phoneOf(w, "phone-1").Linked })
	paired.Addrs = nil
	b.must(b.client.AddPhone(t.Context(), paired))
	b.stop()
	b.start()
	b.await("the link after the restart", func(w *gateway.Ward) bool { return phoneOf(w, "phone-1").Linked })
	if stat, err := os.Stat(filepath.Join(b.config.Data, addressFile)); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", stat, err)
	}
}
