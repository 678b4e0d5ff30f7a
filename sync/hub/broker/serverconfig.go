package broker

import (
	"fmt"
	"strings"
	"time"

	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// Accounts of the broker.
const (
	hubAccount    = "TAPWARD"       // the streams and the hub
	boxAccount    = "TAPWARD_BOXES" // every box; no streams
	systemAccount = "TAPWARD_SYSTEM"
)

// MaxPayload is what one message may weigh: a signed release is the heaviest.
const MaxPayload = 8 << 20

// What one connection of a box may have. The broker ends a connection that sends a larger message.
const (
	maxFromBox    = audit.MaxBundleBytes + headroom/2
	subscriptions = 64 // its inbox, its receipts, its releases, and room for newer kinds
)

// authTime is how long a server waits for the hub's answer about a box. After two seconds it would ping the box, whose
// client does not expect that before it is in.
const authTime = 1500 * time.Millisecond

// ServerConfig is the part of nats-server.conf that the hub needs on every server of a cluster: accounts, who may reach
// what, and that the hub is asked about every box. It holds public keys only. The embedded broker runs on the same text.
func (k Keys) ServerConfig() (string, error) {
	var public [4]string
	for i, s := range []Seed{k.Hub, k.System, k.Issuer, k.Box} {
		p, err := s.public()
		if err != nil {
			return "", fmt.Errorf("server configuration: %w", err)
		}
		public[i] = p
	}
	hub, system, issuer, xkey := public[0], public[1], public[2], public[3]

	services := []string{
		"tapward.audit.*.*",
		uplink.BucketSubject(uplink.ReportBucket, "*.*"),
		uplink.LastSubject(uplink.AuditStream, "tapward.audit.*.*"),
		uplink.LastSubject(uplink.BucketStream(uplink.ReceiptBucket), uplink.BucketSubject(uplink.ReceiptBucket, ">")),
		uplink.LastSubject(uplink.BucketStream(uplink.ReleaseBucket), uplink.BucketSubject(uplink.ReleaseBucket, ">")),
	}
	streams := []string{
		uplink.BucketSubject(uplink.ReceiptBucket, ">"),
		uplink.BucketSubject(uplink.ReleaseBucket, ">"),
	}
	var exports, imports strings.Builder
	for _, s := range services {
		fmt.Fprintf(&exports, "      { service: %q, accounts: [%s] }\n", s, boxAccount)
		fmt.Fprintf(&imports, "      { service: { account: %s, subject: %q } }\n", hubAccount, s)
	}
	for _, s := range streams {
		fmt.Fprintf(&exports, "      { stream: %q, accounts: [%s] }\n", s, boxAccount)
		fmt.Fprintf(&imports, "      { stream: { account: %s, subject: %q } }\n", hubAccount, s)
	}
	return fmt.Sprintf(`max_payload: %d
system_account: %s
accounts {
  %s: { users: [ { nkey: %s } ] }
  %s: {
    jetstream: enabled
    users: [ { nkey: %s } ]
    exports: [
%s    ]
  }
  %s: {
    limits: { max_payload: %d, max_subscriptions: %d }
    imports: [
%s    ]
  }
}
authorization {
  timeout: %.1f
  auth_callout { issuer: %s, account: %s, auth_users: [ %s, %s ], xkey: %s }
}
`, MaxPayload, systemAccount, systemAccount, system, hubAccount, hub, exports.String(), boxAccount, maxFromBox, subscriptions, imports.String(),
		authTime.Seconds(), issuer, hubAccount, hub, system, xkey), nil
}

func join(urls []string) string { return strings.Join(urls, ",") }
