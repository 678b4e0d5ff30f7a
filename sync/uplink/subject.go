package uplink

import (
	"fmt"
	"strings"

	"tapward/gateway"
)

// Names in JetStream. A bucket is the stream KV_<bucket>, whose subjects are $KV.<bucket>.<key>.
const (
	AuditStream = "TAPWARD_AUDIT"

	ReceiptBucket = "tapward_receipt" // hub to box: what is stored; key: Address.Key
	ReleaseBucket = "tapward_release" // hub to boxes: signed releases; key: ReleaseKey
	ReportBucket  = "tapward_report"  // box to hub: what it runs and how it is; key: Address.Key
)

// Headers of a message on the audit subject: where the bundle in it begins and ends, so that a box that comes back need
// not decode it.
const (
	EpochHeader = "Tapward-Epoch"
	FromHeader  = "Tapward-From"
	EndHeader   = "Tapward-End"
)

// Address is one box of one site.
type Address struct {
	Site string        `json:"site"`
	Box  gateway.BoxID `json:"box"`
}

// Valid says why the address cannot be part of a subject.
func (a Address) Valid() error {
	if !gateway.ValidLabel(a.Site) {
		return fmt.Errorf("site %q must be %s", a.Site, gateway.LabelRule)
	}
	if !gateway.ValidLabel(string(a.Box)) {
		return fmt.Errorf("box %q must be %s", string(a.Box), gateway.LabelRule)
	}
	return nil
}

func (a Address) String() string { return a.Site + "/" + string(a.Box) }

// Key is the box's key in the buckets that have one entry for each box.
func (a Address) Key() string { return a.Site + "." + string(a.Box) }

// AuditSubject is where this box, and nobody else, publishes its bundles.
func (a Address) AuditSubject() string { return "tapward.audit." + a.Key() }

// Inbox is the prefix of this box's reply subjects.
func (a Address) Inbox() string { return "_INBOX." + a.Key() }

// AuditAddress reads the address out of an audit subject.
func AuditAddress(subject string) (Address, error) {
	rest, ok := strings.CutPrefix(subject, "tapward.audit.")
	site, box, ok2 := strings.Cut(rest, ".")
	a := Address{site, gateway.BoxID(box)}
	if !ok || !ok2 || a.Valid() != nil {
		return Address{}, fmt.Errorf("subject %q is of no box", subject)
	}
	return a, nil
}

// BucketSubject is the subject of one key of a bucket, and LastSubject that of the request for its newest message.
func BucketSubject(bucket, key string) string { return "$KV." + bucket + "." + key }

// LastSubject asks a stream directly for the newest message of one subject.
func LastSubject(stream, subject string) string {
	return "$JS.API.DIRECT.GET." + stream + "." + subject
}

// BucketStream is the stream that a bucket is made of.
func BucketStream(bucket string) string { return "KV_" + bucket }

// Permissions are all that a box may do on the broker: publish its bundles and its report, ask for the newest message
// of what it may read, and hear that.
type Permissions struct {
	Publish   []string
	Subscribe []string
}

// PermissionsOf is the template every box gets.
func PermissionsOf(a Address, ward string) Permissions {
	receipt := BucketSubject(ReceiptBucket, a.Key())
	p := Permissions{
		Publish: []string{
			a.AuditSubject(),
			BucketSubject(ReportBucket, a.Key()),
			LastSubject(AuditStream, a.AuditSubject()),
			LastSubject(BucketStream(ReceiptBucket), receipt),
		},
		Subscribe: []string{a.Inbox() + ".>", receipt},
	}
	for _, kind := range Kinds {
		release := BucketSubject(ReleaseBucket, ReleaseKey(kind, a.Site, ward))
		p.Publish = append(p.Publish, LastSubject(BucketStream(ReleaseBucket), release))
		p.Subscribe = append(p.Subscribe, release)
	}
	return p
}
