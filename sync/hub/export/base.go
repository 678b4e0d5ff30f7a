package export

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
)

// CheckBase says why a URL is none to send records to: they name people, so they travel by https, and by http only to this
// machine itself. A credential in it would come to light wherever the URL is shown; Authorization and certificates are
// there for that. The error shows none.
func CheckBase(base string) error {
	u, err := url.Parse(base)
	if err != nil { // url's own words may hold a part of the credential
		return errors.New("the receiver's url cannot be read: write https://host/path")
	}
	switch {
	case u.User != nil:
		return fmt.Errorf("the receiver's url %s holds a user name or a password: take it out, and use a token file or a certificate", shown(base))
	case u.Hostname() == "":
		return fmt.Errorf("the receiver's url %s names no host: write https://host/path", shown(base))
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("the receiver's url %s must begin with https:// (http:// only to this machine itself)", shown(base))
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// shown is a URL as an error may tell it: who and where, without what may be secret.
func shown(base string) string {
	u, err := url.Parse(base)
	if err != nil || u.Opaque != "" {
		return "(unreadable)"
	}
	return said((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}
