// Package lockscreen is what the reference phone shows: one page on localhost, rendered here, kept live by server-sent
// events, and usable without scripts.
package lockscreen
