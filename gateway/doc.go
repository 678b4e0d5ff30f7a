// Package gateway holds the nouns of a ward's shared phones: taps, credentials, clinicians, phones, sessions, fences,
// feedback and reasons.
//
// It is the ground floor: it imports nothing of this project, performs nothing, and every other package speaks in its
// words. Values are plain and comparable where they can be; the two that name a person or a badge (ClinicianID,
// Credential) keep themselves out of logs.
package gateway
