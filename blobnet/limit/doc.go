// Package limit bounds how fast bytes are moved.
package limit
