// Package handoff is the engine: one mailbox and one loop that turns taps, phones' answers and operators' acts into steps
// of the session machine, commits them with their audit leaves, and only then performs them.
//
// The loop takes many waiting messages into one commit: that is what carries a shift change. Nothing upstream and no
// slow work is in it; whatever takes time is an effect whose answer comes back as a message.
package handoff
