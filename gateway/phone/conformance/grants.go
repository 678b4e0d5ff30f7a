package conformance

import (
	"tapward/gateway"
	"tapward/gateway/phone/link"
)

var grantClauses = []Clause{
	{"grant-signature", "A bind whose grant the box did not sign is declined.", grantSignature},
	{"grant-names", "A bind whose grant names another phone, box or fence is declined.", grantNames},
}

func grantSignature(s *sitting) error {
	w, err := s.rest()
	if err != nil {
		return err
	}
	stranger, err := link.NewIdentity("stranger")
	if err != nil {
		return err
	}
	m, err := w.bindBy(stranger, w.grant())
	if err != nil {
		return err
	}
	if err := w.declined("a grant under a stranger's signature", m, link.BadGrant); err != nil {
		return err
	}
	m, err = w.bind(w.grant())
	if err != nil {
		return err
	}
	m.Grant = flip(m.Grant)
	return w.declined("a grant with a changed signature", m, link.BadGrant)
}

// flip changes the first character of the signature, whose bits all count.
func flip(signed string) string {
	b := []byte(signed)
	at := len(b) - 86 // 64 bytes in base64url
	if b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	return string(b)
}

func grantNames(s *sitting) error {
	w, err := s.rest()
	if err != nil {
		return err
	}
	for what, change := range map[string]func(*gateway.Grant){
		"a grant for another phone":      func(g *gateway.Grant) { g.Phone += "-other" },
		"a grant of another box":         func(g *gateway.Grant) { g.Box += "-other" },
		"a grant for a fence gone by":    func(g *gateway.Grant) { g.Fence-- },
		"a grant for a fence far ahead":  func(g *gateway.Grant) { g.Fence += 5 },
		"a grant without a lease":        func(g *gateway.Grant) { g.Lease = 0 },
		"a grant with a lease below nil": func(g *gateway.Grant) { g.Lease = -60 },
	} {
		g := w.grant()
		change(&g)
		m, err := w.bind(g)
		if err != nil {
			return err
		}
		m.Lease = 60
		if err := w.declined(what, m, link.WrongGrant, link.BadGrant); err != nil {
			return err
		}
	}
	return nil
}
