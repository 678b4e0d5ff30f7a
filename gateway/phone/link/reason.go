package link

import "tapward/gateway"

// Why a phone declines a command. It does nothing then, and its fence does not move. A bind is also declined with
// gateway.PhoneNotCleared, while something of an earlier session is left.
const (
	StaleChallenge gateway.Reason = "stale-challenge" // not one of this connection's, or older than 10 s
	FenceMismatch  gateway.Reason = "fence-mismatch"  // expect is not the phone's fence, or next is not one more
	BadGrant       gateway.Reason = "bad-grant"       // not signed by the box on this link, or not canonical
	WrongGrant     gateway.Reason = "wrong-grant"     // names another phone, box or fence, or is not the one held
	SessionPresent gateway.Reason = "session-present" // bind, and a session is there: release it first
	NoSession      gateway.Reason = "no-session"      // renew or lock, and nothing is there
	PastLimit      gateway.Reason = "past-limit"      // renew, and the grant's limit has passed
)

// DeviceFailed is the one reason of a declined command that was accepted first, so that its fence is taken: the device
// did not do it. What a bind had begun is cleared again by then; the receipt's truth says what stands.
const DeviceFailed = gateway.DeviceFailed
