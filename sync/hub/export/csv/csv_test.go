package csv_test

import (
	"bytes"
	standard "encoding/csv"
	"strings"
	"testing"
	"time"

	"tapward/sync/hub/export"
	"tapward/sync/hub/export/csv"
	"tapward/sync/hub/export/exporttest"
)

// TestEveryRecordIsALine writes records of every kind, and wild ones, and reads them with the standard library.
func TestEveryRecordIsALine(t *testing.T) {
	archive, all := &exporttest.Archive{}, exporttest.Every(t)
	archive.Add(all...)
	var out bytes.Buffer
	if n, err := export.Write(t.Context(), csv.Format{}, archive, time.Time{}, &out); err != nil || n != int64(len(all)) {
		t.Fatal(n, err)
	}
	text := out.String()
	if strings.Count(text, "\n") != strings.Count(text, "\r\n") || strings.Count(text, "\r\n") != len(all)+1 {
		t.Errorf("%d lines for %d records", strings.Count(text, "\n"), len(all))
	}
	rows, err := standard.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != len(all)+1 {
		t.Fatal(len(rows), err)
	}
	for i, row := range rows[1:] {
		if row[0] != all[i].Name() || row[6] != all[i].Kind() || len(row) != len(csv.Columns) {
			t.Errorf("line %d is %q", i+1, row)
		}
		for _, field := range row {
			if field != "" && strings.ContainsAny(field[:1], "=+-@\t\r") {
				t.Errorf("a spreadsheet takes %q for a formula", field)
			}
			for _, secret := range []string{exporttest.Name, exporttest.Words, exporttest.Receipt} {
				if strings.Contains(field, secret) {
					t.Errorf("%s tells %q", row[0], field)
				}
			}
		}
	}
}
