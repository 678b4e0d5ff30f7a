package fhir

import (
	"encoding/json"
	"testing"
)

// FuzzAnswers reads what a repository may say to a batch: never more answers than records, and all of them where there is
// no error.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		`{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"201 Created"}},{"response":{"status":"422","outcome":{"resourceType":"OperationOutcome","issue":[{"details":{"text":"no"},"expression":["AuditEvent.source"]}]}}}]}`,
		`{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"400"}},{"response":{"status":"503 later"}}]}`,
		`{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":""}},{}]}`,
		`{"resourceType":"OperationOutcome","issue":[]}`, `[]`, `{"entry":null}`, ``, "\xff",
	} {
		f.Add([]byte(body), 2)
	}
	f.Fuzz(func(t *testing.T, body []byte, count int) {
		all, err := answers(body, count)
		if len(all) > max(count, 0) || err == nil && len(all) != count {
			t.Errorf("%d answers for %d records, %v", len(all), count, err)
		}
		var o outcome
		if json.Unmarshal(body, &o) == nil {
			o.words()
		}
	})
}

// TestRefusalsAreNeverEmpty holds a refusal apart from a success also where the repository says nothing.
func TestRefusalsAreNeverEmpty(t *testing.T) {
	all, err := answers([]byte(`{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"400"}},{"response":{"status":"200"}}]}`), 2)
	if err != nil || all[0].Refused != "400" || all[1].Refused != "" {
		t.Errorf("%+v, %v", all, err)
	}
}
