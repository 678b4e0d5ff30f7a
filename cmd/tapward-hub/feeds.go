package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"tapward/sync/hub/archive"
	"tapward/sync/hub/export"
	"tapward/sync/hub/export/atna"
	"tapward/sync/hub/export/fhir"
	"tapward/sync/hub/export/ocsf"
)

// Export is one receiver of the hospital's that gets every record.
type Export struct {
	// Name stays: the place in the archive is kept under it.
	Name string `toml:"name"`
	// Format is "fhir", "ocsf" or "atna".
	Format string `toml:"format"`
	// URL is the FHIR base, or the OCSF collector's whole URL; or the address of an ATNA repository, host:port.
	URL string `toml:"url"`
	// File is where OCSF is written instead, a line for each event; it rotates.
	File string `toml:"file"`
	// FromNow begins with what comes, and not with the oldest record kept.
	FromNow bool `toml:"from_now"`
	// Post creates FHIR events instead of putting them to ids of their own; Single sends one event at a time.
	Post   bool `toml:"post"`
	Single bool `toml:"single"`
	// CA is a PEM file with the receiver's CA; default: the machine's. Certificate and Key are the hub's towards it.
	CA          string `toml:"ca"`
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	// Token is a file that holds the bearer token for the receiver, read anew for every message.
	Token string `toml:"token"`
}

// exported is the archive as exports read it.
type exported struct{ *archive.Archive }

// Since is export.Archive's.
func (e exported) Since(ctx context.Context, after int64, limit int) ([]export.Record, error) {
	found, err := e.Archive.Since(ctx, after, limit)
	records := make([]export.Record, len(found))
	for i, a := range found {
		records[i] = export.Record{Seq: a.Seq, Address: a.Origin.Address, Leaf: a.Leaf, Forgotten: a.Forgotten, Archived: a.At}
	}
	return records, err
}

// feeds makes what the configuration names.
func (c Config) feeds() (feeds []export.Feed, err error) {
	var wrong []error
	for _, e := range c.Export {
		target, err := e.target(c.Site)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("export %q: %w", e.Name, err))
			continue
		}
		feeds = append(feeds, export.Feed{Name: e.Name, Target: target, FromNow: e.FromNow})
	}
	return feeds, errors.Join(wrong...)
}

func (e Export) target(site string) (export.Target, error) {
	security, err := e.tls()
	if err != nil {
		return nil, err
	}
	switch {
	case e.Name == "":
		return nil, errors.New("it needs a name")
	case e.Format == "ocsf" && e.File != "":
		return &ocsf.File{Path: e.File}, nil
	case e.URL == "":
		return nil, errors.New("it needs a url (or, of ocsf, a file)")
	}
	switch e.Format {
	case "fhir":
		return &fhir.Feed{Endpoint: e.endpoint(security), Post: e.Post, Single: e.Single}, nil
	case "ocsf":
		return &ocsf.Post{Endpoint: e.endpoint(security), Single: e.Single}, nil
	case "atna":
		return &atna.Syslog{Address: e.URL, TLS: security, Host: "tapward-hub." + site}, nil
	}
	return nil, fmt.Errorf("format %q is none of fhir, ocsf and atna", e.Format)
}

// answerWithin is how long a receiver may take to answer one message.
const answerWithin = time.Minute

func (e Export) endpoint(security *tls.Config) export.Endpoint {
	transport := &http.Transport{TLSClientConfig: security, Proxy: http.ProxyFromEnvironment}
	end := export.Endpoint{Base: strings.TrimSuffix(e.URL, "/"), Client: &http.Client{Timeout: answerWithin, Transport: transport}}
	if e.Token != "" {
		end.Authorization = func() (string, error) {
			token, err := os.ReadFile(e.Token)
			return "Bearer " + strings.TrimSpace(string(token)), err
		}
	}
	return end
}

func (e Export) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.CA != "" {
		text, err := os.ReadFile(e.CA)
		if err != nil {
			return nil, fmt.Errorf("read the receiver's CA: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read the receiver's CA: %s holds no certificate", e.CA)
		}
	}
	if e.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(e.Certificate, e.Key)
		if err != nil {
			return nil, fmt.Errorf("read the hub's certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
