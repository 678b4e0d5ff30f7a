package mdns

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"tapward/gateway"
)

// MaxTXT bounds a TXT record, in bytes with a length byte for each string.
const MaxTXT = 400

// TXT is what a phone or a box says about itself in its advert.
type TXT struct {
	ID  string              // of the phone or box; it survives a renaming of the instance after a conflict
	Key gateway.Fingerprint // to expect on the link; zero where none is told
}

// Strings is the record as it is advertised.
func (t TXT) Strings() []string {
	text := []string{"v=1"}
	if t.ID != "" {
		text = append(text, "id="+t.ID)
	}
	if !t.Key.IsZero() {
		text = append(text, "fp="+hex.EncodeToString(t.Key[:]))
	}
	return text
}

// ParseTXT reads what anybody may have sent. Unknown keys are skipped and of a repeated key the first counts (RFC 6763
// section 6.4). A missing or other version, an id that could not be one, and a fingerprint that is not 64 hex digits
// are errors; their text quotes nothing unescaped and nothing long.
func ParseTXT(text []string) (TXT, error) {
	size := 0
	for _, s := range text {
		size += 1 + len(s)
	}
	if size > MaxTXT {
		return TXT{}, fmt.Errorf("TXT record of %d bytes: at most %d are read", size, MaxTXT)
	}
	values := make(map[string]string)
	for _, s := range text {
		key, value, _ := strings.Cut(s, "=")
		key = strings.ToLower(key)
		if _, again := values[key]; !again {
			values[key] = value
		}
	}
	if v := values["v"]; v != "1" {
		return TXT{}, fmt.Errorf("TXT version %.16q: only 1 is known", v)
	}
	t := TXT{ID: values["id"]}
	if t.ID != "" && !gateway.ValidLabel(t.ID) {
		return TXT{}, errors.New("TXT id: want 1 to 32 letters, digits, - and _")
	}
	if fp, told := values["fp"]; told {
		raw, err := hex.DecodeString(fp)
		if err != nil || len(raw) != len(t.Key) {
			return TXT{}, fmt.Errorf("TXT fingerprint: want %d hex digits, have %d characters", 2*len(t.Key), len(fp))
		}
		t.Key = gateway.Fingerprint(raw)
	}
	return t, nil
}
