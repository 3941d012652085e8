// Package disk asks the operating system about disks what the standard library
// does not: how much is free, whether an error means full, and to begin writing
// early; and it sweeps up the temporary files of programs that were killed. It is
// for rooms that keep files. It must never write anything itself, and nothing may
// depend on its hints having worked.
package disk
