package main

import (
	"slices"

	"tapward/gateway"
)

// phoneOf is a phone as the station shows it.
func phoneOf(w *gateway.Ward, id gateway.PhoneID) gateway.WardPhone {
	if w == nil {
		return gateway.WardPhone{}
	}
	i := slices.IndexFunc(w.Phones, func(p gateway.WardPhone) bool { return p.ID == id })
	if i < 0 {
		return gateway.WardPhone{}
	}
	return w.Phones[i]
}

// ready says that a phone is linked and can be given, and that readers are up.
func ready(id gateway.PhoneID, readers ...gateway.ReaderID) func(*gateway.Ward) bool {
	return func(w *gateway.Ward) bool {
		p := phoneOf(w, id)
		return p.Linked && p.Healthy && p.Phase == "free" && readersUp(w, readers...)
	}
}

func readersUp(w *gateway.Ward, readers ...gateway.ReaderID) bool {
	for _, id := range readers {
		if !slices.ContainsFunc(w.Readers, func(r gateway.WardReader) bool { return r.ID == id && r.State == gateway.ReaderUp }) {
			return false
		}
	}
	return true
}

// held says that a phone is somebody's, unlocked.
func held(id gateway.PhoneID, who person) func(*gateway.Ward) bool {
	return func(w *gateway.Ward) bool {
		p := phoneOf(w, id)
		return p.Phase == "bound" && !p.Locked && p.HolderID == who.ID
	}
}
