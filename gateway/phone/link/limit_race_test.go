//go:build race

package link

const residentLimit = 512 << 20 // the race detector's own memory is five to ten times the program's
