package broker

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"tapward/sync/uplink"
)

func TestMeterForgetsAfterADay(t *testing.T) {
	a, b := uplink.Address{Site: "s", Box: "a"}, uplink.Address{Site: "s", Box: "b"}
	m := newMeter(100)
	start := time.Unix(1_800_000_000, 0)
	m.add(a, start, 60)
	m.add(a, start.Add(10*time.Hour), 40)
	if m.over(a, start.Add(10*time.Hour)) {
		t.Fatal("exactly its share is too much")
	}
	m.add(a, start.Add(10*time.Hour), 1)
	for after, want := range map[time.Duration]bool{10 * time.Hour: true, 22 * time.Hour: true, 25 * time.Hour: false, 90 * time.Hour: false} {
		if got := m.over(a, start.Add(after)); got != want {
			t.Errorf("over after %s: %t", after, got)
		}
	}
	if m.over(b, start) {
		t.Error("another box is over")
	}
	m.add(a, start.Add(25*time.Hour), 30) // takes the first hour's place
	m.add(a, start, 1000)                 // heard again after a restart, too old to count
	if m.over(a, start.Add(25*time.Hour)) {
		t.Error("over by what is older than a day")
	}
}

func TestKeysStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.json")
	var all [8]Keys
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			k, err := LoadKeys(path)
			if err != nil {
				t.Error(err)
			}
			all[i] = k
		})
	}
	wg.Wait()
	for _, k := range all {
		if k != all[0] || k.valid() != nil {
			t.Fatal("hubs that start at once have different keys")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	text, err := all[0].ServerConfig()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []Seed{all[0].Hub, all[0].System, all[0].Issuer, all[0].Box} {
		if strings.Contains(text, string(s)) {
			t.Fatal("a secret stands in the server's configuration")
		}
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKeys(path); err == nil {
		t.Fatal("no keys are taken for keys")
	}
}

func TestConfigThatCannotWork(t *testing.T) {
	k, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]Config{
		"no keys": {URLs: []string{"tls://x"}}, "no broker": {Keys: k}, "no CA": {Keys: k, URLs: []string{"tls://x"}},
		"both": {Keys: k, URLs: []string{"tls://x"}, Embedded: &Embedded{}}, "embedded and replicated": {Keys: k, Embedded: &Embedded{}, Replicas: 3},
		"one box could fill it": {Keys: k, Embedded: &Embedded{}, Limits: Limits{Bytes: 1 << 30, Day: 1 << 30, Messages: 1, MaxAge: boxRetention}},
		"shorter than a box":    {Keys: k, Embedded: &Embedded{}, Limits: Limits{Bytes: 1 << 30, Day: 1, Messages: 1, MaxAge: time.Hour}},
	} {
		if _, err := New(c, nil, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Only what a server encrypted to the hub is a request.
func TestForgedRequests(t *testing.T) {
	k, _ := NewKeys()
	box, _ := k.Box.pair()
	boxPublic, _ := k.Box.public()
	serverCurve, _ := nkeys.CreateCurveKeys()
	serverPublic, _ := serverCurve.PublicKey()
	otherCurve, _ := nkeys.CreateCurveKeys()
	otherPublic, _ := otherCurve.PublicKey()
	serverKey, _ := nkeys.CreateServer()
	clusterKey, _ := nkeys.CreateCluster()
	user, _ := nkeys.CreateUser()
	userPublic, _ := user.PublicKey()

	request := func(signer nkeys.KeyPair, audience, xkey string) []byte {
		c := jwt.NewAuthorizationRequestClaims("A")
		c.UserNkey, c.Audience, c.Server.XKey = userPublic, audience, xkey
		token, err := c.Encode(signer)
		if err != nil {
			return []byte("not even that: " + err.Error())
		}
		return []byte(token)
	}
	sealed := func(plain []byte) []byte {
		out, err := serverCurve.Seal(plain, boxPublic)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	good := request(serverKey, server.AuthRequestSubject, serverPublic)
	message := func(data []byte, from string) *nats.Msg {
		return &nats.Msg{Data: data, Header: nats.Header{server.AuthRequestXKeyHeader: {from}}}
	}
	if _, err := openRequest(message(sealed(good), serverPublic), box); err != nil {
		t.Fatalf("a server's request: %v", err)
	}
	for name, m := range map[string]*nats.Msg{
		"in clear": message(good, serverPublic), "empty": message(nil, serverPublic), "no sender": message(sealed(good), ""),
		"another sender":      message(sealed(good), otherPublic),
		"another's reply key": message(sealed(request(serverKey, server.AuthRequestSubject, otherPublic)), serverPublic),
		"another purpose":     message(sealed(request(serverKey, "something else", serverPublic)), serverPublic),
		"no server":           message(sealed(request(clusterKey, server.AuthRequestSubject, serverPublic)), serverPublic),
		"no request":          message(sealed([]byte("eyJ.eyJ.x")), serverPublic),
	} {
		if _, err := openRequest(m, box); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestBoxGetsExactlyItsPermissions(t *testing.T) {
	a := uplink.Address{Site: "north", Box: "b1"}
	user, _ := nkeys.CreateUser()
	public, _ := user.PublicKey()
	want := uplink.PermissionsOf(a, "w1")
	got := userClaims(public, a, "w1", false)
	if strings.Join(got.Pub.Allow, " ") != strings.Join(want.Publish, " ") || strings.Join(got.Sub.Allow, " ") != strings.Join(want.Subscribe, " ") ||
		len(got.Pub.Deny)+len(got.Sub.Deny) > 0 || got.Resp != nil || got.Audience != boxAccount {
		t.Fatalf("permissions: %+v", got.Permissions)
	}
	if over := userClaims(public, a, "w1", true); len(over.Pub.Deny) != 1 || over.Pub.Deny[0] != a.AuditSubject() {
		t.Fatalf("over its share: %+v", over.Permissions)
	}
}

func TestJudgeOfServersThatWereNotRead(t *testing.T) {
	want := []jetstream.StreamConfig{{Name: "S", Replicas: 3}}
	good := &server.StreamConfig{Storage: server.FileStorage, Replicas: 3, DenyDelete: true, DenyPurge: true, Discard: server.DiscardNew}
	peers := &server.ClusterInfo{Leader: "n1", Replicas: []*server.PeerInfo{{Name: "n2"}, {Name: "n3"}}}
	one := func(syncs bool) serverState {
		return serverState{syncs, map[string]server.StreamDetail{"S": {Name: "S", Config: good, Cluster: peers}}}
	}
	for name, c := range map[string]struct {
		read map[string]serverState
		all  bool
		want Assurance
	}{
		"all":                {map[string]serverState{"n1": one(true), "n2": one(true), "n3": one(true)}, true, Verified},
		"one counted twice":  {map[string]serverState{"n1": one(true), "n2": one(true), "n3": one(true)}, false, Verified},
		"none":               {nil, false, Unverifiable},
		"one silent":         {map[string]serverState{"n1": one(true), "n2": one(true)}, false, Unverifiable},
		"one silent, unseen": {map[string]serverState{"n1": one(true), "n2": one(true)}, true, Unverifiable},
		"stream gone":        {map[string]serverState{"n1": {syncs: true}}, true, Wrong},
		"one lazy":           {map[string]serverState{"n1": one(true), "n2": one(true), "n3": one(false)}, true, Wrong},
		"lazy, silent":       {map[string]serverState{"n1": one(true), "n2": one(false)}, false, Wrong},
	} {
		if d := judge(c.read, want, c.all); d.State != c.want {
			t.Errorf("%s: %v", name, d)
		}
	}
}
