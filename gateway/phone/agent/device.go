package agent

import "context"

// Device is what a session opens, and must leave nothing on. Each of its acts may be called again after it succeeded,
// failed or was cut off half-way. Acts come one at a time; each ends within ctx.
type Device interface {
	// Open lets the session's holder in.
	Open(ctx context.Context, x Session) error

	// Lock keeps everybody out; what the session has stays.
	Lock(ctx context.Context, x Session) error

	// Clear keeps everybody out, removes all that sessions left, durably, and verifies it. Only nil means that nothing
	// was found. x is the zero Session where none is held.
	Clear(ctx context.Context, x Session) error
}

// Preparer is a Device that can get ready what Open will need, where nobody sees it, while the phone stores the fence of
// a bind: the time is on every tap's path. What was prepared may never be opened, and Open must do without; Clear takes
// it away. Prepare runs no command and does not wait.
type Preparer interface{ Prepare() error }
