package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ebfe/scard"
	"golang.org/x/sys/unix"
)

// This file holds the bare physical parts of a tap. It shares no code with the product.

// bareReader waits for a card and asks for its number, with libpcsclite and nothing else.
type bareReader struct {
	t    testing.TB
	pcsc *scard.Context
	name string
}

func newBareReader(t testing.TB, name string) *bareReader {
	t.Helper()
	pcsc, err := scard.EstablishContext()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pcsc.Release() })
	return &bareReader{t, pcsc, name}
}

// read returns when a card has come and has told its number.
func (r *bareReader) read() time.Time {
	r.t.Helper()
	states := []scard.ReaderState{{Reader: r.name, CurrentState: scard.StateEmpty}}
	for states[0].EventState&scard.StatePresent == 0 {
		if err := r.pcsc.GetStatusChange(states, time.Minute); err != nil {
			r.t.Fatal(err)
		}
		states[0].CurrentState = states[0].EventState
	}
	card, err := r.pcsc.Connect(r.name, scard.ShareShared, scard.ProtocolAny)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := card.Transmit([]byte{0xFF, 0xCA, 0x00, 0x00, 0x00})
	at := time.Now()
	if err != nil || !bytes.HasSuffix(answer, []byte{0x90, 0x00}) {
		r.t.Fatalf("the card answered %X: %v", answer, err)
	}
	if err := card.Disconnect(scard.LeaveCard); err != nil {
		r.t.Fatal(err)
	}
	return at
}

// bareFile is a file of fixed size into which blocks are written and made durable.
type bareFile struct {
	t    testing.TB
	file *os.File
	at   int64
}

const bareFileSize = 8 << 20

func newBareFile(t testing.TB) *bareFile {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "bare"))
	if err == nil {
		_, err = file.Write(make([]byte, bareFileSize))
	}
	if err = errors.Join(err, file.Sync()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return &bareFile{t: t, file: file}
}

// write makes n bytes durable, behind the ones before.
func (f *bareFile) write(n int) {
	if f.at+int64(n) > bareFileSize {
		f.at = 0
	}
	_, err := f.file.WriteAt(bytes.Repeat([]byte{0x5A}, n), f.at)
	f.at += int64(n)
	if err = errors.Join(err, unix.Fdatasync(int(f.file.Fd()))); err != nil {
		f.t.Error(err)
	}
}

// bareLink is a TLS 1.3 connection over loopback to somebody who echoes.
type bareLink struct {
	t    testing.TB
	conn *tls.Conn
}

func newBareLink(t testing.TB) *bareLink {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secured := tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{bareCertificate(t)}})
	var echo sync.WaitGroup
	echo.Go(func() {
		conn, err := secured.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.Copy(conn, conn)
	})
	// The echo's certificate is made above for this one connection; what is measured begins after the handshake.
	conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		listener.Close()
		echo.Wait()
	})
	return &bareLink{t, conn}
}

func bareCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// echo sends n bytes there and back.
func (l *bareLink) echo(n int) {
	l.t.Helper()
	_, err := l.conn.Write(make([]byte, n))
	if err == nil {
		_, err = io.ReadFull(l.conn, make([]byte, n))
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// took measures one thing.
func took(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start)
}

// bounded is a context for what must not hang.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
