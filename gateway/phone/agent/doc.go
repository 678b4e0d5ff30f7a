// Package agent is the reference agent of a ward's shared phone: it keeps the phone's lock state, obeys boxes it trusts
// and signs what it did. docs/phone-protocol.md is its specification.
//
// Three pure functions carry it: Decide judges a command, Owes says what the device must do next, Finish turns the
// device's answer into a receipt. Around them one goroutine stores each State before anything is done, so that a phone
// that dies at any moment continues where it was.
package agent
