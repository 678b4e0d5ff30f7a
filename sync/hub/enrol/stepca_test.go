package enrol_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"

	"tapward/sync/claim"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/enrol"
	"tapward/sync/hub/enrol/stepca"
)

// TestStepCA enrols and renews with the hospital's own CA, which has an intermediate, and then uses what stands in its log.
func TestStepCA(t *testing.T) {
	real := startStepCA(t)
	ca := must(stepca.New(real.Config))
	h := newHubWith(t, databasetest.SQLite(t), ca, nil)
	e, a, _ := h.enrolled("box-1")
	c := e.Certificate()
	if len(c.Certificate) != 2 || c.Leaf.Subject.Organization[0] != site || len(c.Leaf.ExtKeyUsage) != 1 || c.Leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Errorf("%d certificates; %s, %v", len(c.Certificate), c.Leaf.Subject, c.Leaf.ExtKeyUsage)
	}
	if lasts := c.Leaf.NotAfter.Sub(c.Leaf.NotBefore); lasts < 7*24*time.Hour-time.Minute || lasts > 7*24*time.Hour {
		t.Errorf("it lasts %s", lasts)
	}
	if _, _, refused, err := h.Authorize(t.Context(), c.Leaf); refused != "" || err != nil {
		t.Errorf("%q, %v", refused, err)
	}
	before := time.Now()
	if _, err := newWire(t, h, "box-1", c).renew(requestFor(a.Subject, newKey())); err != nil {
		t.Fatal(err)
	}
	t.Logf("renewed through step-ca in %s", time.Since(before).Round(time.Millisecond))

	tokens := regexp.MustCompile(`"ott":"([^"]+)"`).FindAllStringSubmatch(real.said(), -1)
	if len(tokens) < 3 {
		t.Fatalf("%d tokens stand in step-ca's log; the test looks for them in vain", len(tokens))
	}
	for _, token := range tokens {
		if status := spendAgain(t, real, token[1], requestFor(a.Subject, newKey())); status != http.StatusUnauthorized {
			t.Errorf("a token out of the log served again: %d", status)
		}
	}
}

// spendAgain asks step-ca directly with a token, and gives the status of its answer.
func spendAgain(t *testing.T, real *stepCA, token string, request []byte) int {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(real.Root)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	body := must(json.Marshal(map[string]string{"ott": token,
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))}))
	answer, err := (&http.Client{Transport: transport}).Post(real.URL+"/1.0/sign", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// TestStepCARefuses brings a token of a stranger, and asks for more than the CA gives.
func TestStepCARefuses(t *testing.T) {
	real := startStepCA(t)
	config := real.Config
	config.Key.Key = newKey()
	ca := must(stepca.New(config))
	request := must(x509.ParseCertificateRequest(requestFor(boxNamed("box-1"), newKey())))
	if _, err := ca.Sign(t.Context(), request, enrol.Client, time.Hour); err == nil {
		t.Error("a stranger's token was taken")
	}
	good := must(stepca.New(real.Config))
	if _, err := good.Sign(t.Context(), request, enrol.Client, 30*24*time.Hour); err == nil {
		t.Error("a certificate of a month was made")
	}
	if chain, err := good.Sign(t.Context(), request, enrol.Client, time.Hour); err != nil || len(chain) != 2 {
		t.Errorf("%d, %v", len(chain), err)
	} else if s, err := claim.CertificateSubject(chain[0]); err != nil || s != boxNamed("box-1") {
		t.Errorf("%s, %v", s, err)
	}
}
