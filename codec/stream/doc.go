// Package stream reads a file that is not here yet.
package stream
