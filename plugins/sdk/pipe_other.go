//go:build !unix

package sdk

// pipeFlags: there are no named pipes here, and the host names none.
const pipeFlags = 0
