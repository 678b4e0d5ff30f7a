package policy

import (
	"slices"

	"tapward/gateway"
)

// revoked is what the hospital has taken away, ready to be asked. It is a hard check before every rule, and no policy that
// is loaded later forgets it.
type revoked struct {
	list   gateway.Revocations
	people map[gateway.ClinicianID]bool
	badges map[gateway.BadgeHash]bool
	phones map[gateway.PhoneID]bool
}

// Revoke is the snapshot with this list in place of the one before. A box without a policy keeps it for the policy to
// come. An entry of a kind that is not known here, or about no badge that could be, takes nothing away.
func (s Snapshot) Revoke(list gateway.Revocations) Snapshot {
	list.List = slices.Clone(list.List)
	r := &revoked{
		list: list, people: map[gateway.ClinicianID]bool{}, badges: map[gateway.BadgeHash]bool{}, phones: map[gateway.PhoneID]bool{},
	}
	for _, v := range list.List {
		switch v.Target {
		case gateway.RevokesClinician:
			r.people[gateway.ClinicianID(v.ID)] = true
		case gateway.RevokesBadge:
			var hash gateway.BadgeHash
			if hash.UnmarshalText([]byte(v.ID)) == nil {
				r.badges[hash] = true
			}
		case gateway.RevokesPhone:
			r.phones[gateway.PhoneID(v.ID)] = true
		}
	}
	s.revoked = r
	return s
}

// Revocations is the list in force.
func (s Snapshot) Revocations() gateway.Revocations {
	if s.revoked == nil {
		return gateway.Revocations{}
	}
	list := s.revoked.list
	list.List = slices.Clone(list.List)
	return list
}

// Revokes says that a person may do nothing any more.
func (s Snapshot) Revokes(id gateway.ClinicianID) bool { return s.revoked.person(id) }

// RevokesPhone says that a phone is given to nobody any more.
func (s Snapshot) RevokesPhone(id gateway.PhoneID) bool {
	return s.revoked != nil && s.revoked.phones[id]
}

func (r *revoked) person(id gateway.ClinicianID) bool { return r != nil && r.people[id] }

func (r *revoked) badge(hash gateway.BadgeHash) bool { return r != nil && r.badges[hash] }
