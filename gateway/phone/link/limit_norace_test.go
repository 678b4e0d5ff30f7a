//go:build !race

package link

const residentLimit = 64 << 20 // what 200 linked phones may cost
