package worker

/*
#include "engine.h"
*/
import "C"

import "unsafe"

// A handle in SQL is the address of a C object that the query holds; the object's magic number guards against a mistake.
func handle(d *C.mdb_deleted) int64          { return int64(uintptr(unsafe.Pointer(d))) }
func snapshotHandle(s *C.mdb_snapshot) int64 { return int64(uintptr(unsafe.Pointer(s))) }

func elementOf(d *C.mdb_deleted, i int) **C.uint64_t {
	return &unsafe.Slice(d.bits, int(d.count))[i]
}
