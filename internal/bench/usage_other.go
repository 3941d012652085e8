//go:build !unix

package main

import "os"

// add takes in what the system counted of a process that ended; the peak of its
// memory is not known here.
func (u *usage) add(s *os.ProcessState) { u.cpu = s.UserTime() + s.SystemTime() }
