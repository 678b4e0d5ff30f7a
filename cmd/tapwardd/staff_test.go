package main

import (
	"bytes"
	"fmt"
	"text/template"

	"tapward/gateway"
)

// person is made-up staff with a badge of each technology.
type person struct {
	ID   gateway.ClinicianID
	Name string
	UID  []byte // of the contactless card
	EM   []byte // of the 125 kHz badge
	Keys []gateway.BadgeHash
}

func (b *testBox) staff(n int) []person {
	names := []string{"Ana", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gwen", "Hal", "Iris", "Jon"}
	var people []person
	for i := range n {
		p := person{
			ID: gateway.ClinicianID(fmt.Sprintf("c-%03d", i+1)), Name: fmt.Sprintf("%s Example %d", names[i%len(names)], i+1),
			UID: []byte{0x04, 0xA1, 0xB2, 0xC3, 0xD4, byte(i >> 8), byte(i)}, EM: []byte{0x62, 0xE3, 0x08, byte(i >> 8), byte(i)},
		}
		p.Keys = []gateway.BadgeHash{
			gateway.NewCredential(gateway.UID, p.UID).Hash(b.badges), gateway.NewCredential(gateway.EM, p.EM).Hash(b.badges),
		}
		people = append(people, p)
	}
	return people
}

// wardPolicy is what a policy of these tests is made of.
type wardPolicy struct {
	Version uint64
	Class   string // lines of the class "workflow"
	Places  []gateway.Place
	Staff   []person
}

var policyText = template.Must(template.New("policy").Parse(`version = {{.Version}}
site = "northside"

[[ward]]
id = "5b"
name = "Ward 5B"

[class.workflow]
{{.Class}}
{{range .Places}}
[[reader]]
id = "{{.Reader}}"
ward = "5b"
pool = "{{.Pool}}"
{{with .Slot}}slot = "{{.}}"{{end}}
{{with .Phone}}phone = "{{.}}"{{end}}
{{end}}
{{range .Staff}}
[[clinician]]
id = "{{.ID}}"
name = "{{.Name}}"
role = "nurse"
wards = ["5b"]
badges = [{{range .Keys}}"{{.}}",{{end}}]
{{end}}`))

func (p wardPolicy) document() []byte {
	var text bytes.Buffer
	if err := policyText.Execute(&text, p); err != nil {
		panic(err) // the template above does not fit the fields
	}
	return text.Bytes()
}
