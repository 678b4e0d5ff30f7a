package conformance

import (
	"crypto/tls"
	"errors"
	"fmt"

	"tapward/gateway/phone/link"
)

var handshakeClauses = []Clause{
	{"tls-1.3-only", "A handshake below TLS 1.3 fails.", func(s *sitting) error {
		return s.shut("TLS 1.2", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 })
	}},
	{"alpn", "A handshake for another protocol fails.", func(s *sitting) error {
		return s.shut("another protocol", func(c *tls.Config) { c.NextProtos = []string{"h2"} })
	}},
	{"no-certificate", "A box that proves no key gets no hello.", func(s *sitting) error {
		return s.shut("no certificate", func(c *tls.Config) { c.Certificates = nil })
	}},
	{"unknown-key", "A box whose key the phone does not trust gets no hello.", unknownKey},
	{"hello-signed", "The hello is signed by the phone's key, echoes the link's nonce and fits the grant held.", helloSigned},
}

// shut expects that a wrong handshake leads to no hello. With TLS 1.3 the refusal may come after our part of it.
func (s *sitting) shut(what string, change func(*tls.Config)) error {
	if w, err := s.open(""); err != nil {
		return fmt.Errorf("a right handshake fails, so a wrong one says nothing: %w", err)
	} else {
		w.close()
	}
	w, err := s.connect(change)
	if err != nil {
		return nil
	}
	if err := w.send(link.Greet{Protocol: link.Protocol, Box: s.Box, Nonce: link.NewNonce()}); err != nil {
		return nil
	}
	return w.ended(what)
}

func unknownKey(s *sitting) error {
	stranger, err := link.NewIdentity("stranger")
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(stranger.PEM(), stranger.PEM())
	if err != nil {
		return err
	}
	return s.shut("an unknown key", func(c *tls.Config) { c.Certificates = []tls.Certificate{pair} })
}

func helloSigned(s *sitting) error {
	w, g, err := s.bound(nil)
	if err != nil {
		return err
	}
	w.close()
	again, err := s.open("")
	if err != nil {
		return err
	}
	if again.truth != w.truth {
		return fmt.Errorf("the phone stood at %s, its hello says %s", sayTruth(w.truth), sayTruth(again.truth))
	}
	held, err := link.VerifyGrant(s.Identity.Public(), again.hello.Held)
	switch {
	case err != nil:
		return fmt.Errorf("the grant in the hello: %w", err)
	case held != g:
		return errors.New("the grant in the hello is not the one that was bound")
	case again.hello.LeaseLeft <= 0 || again.hello.LeaseLeft > g.Lease:
		return fmt.Errorf("the hello says %d s of the lease are left, of %d", again.hello.LeaseLeft, g.Lease)
	}
	return nil
}
