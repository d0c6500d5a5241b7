// Workers that begin as the same program, started anew, instead of as copies of the process that
// calls map.
//
//   int main(int argc, char** argv) {
//     shard::init(argc, argv);
//     shard::pool workers({.start = shard::start_by::spawn});
//     …
//
// A fork copies the caller's page tables, which takes 50 ms and more for each GiB of its heap, and
// it copies locks that other threads hold. A program that is started anew costs the same whatever
// the caller is, some 5 ms; and the caller may have any threads. So spawn where the caller
// is large, or uses oneTBB, OpenMP, BLAS or gRPC.
//
// What differs from workers that are forked:
//
//  - As in any pool, kernels capture nothing. This holds for shard::map, too, with {.start =
//    start_by::spawn}: a map whose kernel captures something throws shard::error.
//  - Workers see global variables as they are when the program has called init, and not as they are
//    in the caller. The same holds for libraries: a kernel of a library that was loaded with dlopen
//    is found by the library's path, and loaded again.
//  - The program and its libraries must be the same build as the caller's, by the build id that the
//    linker gives them (-Wl,--build-id, which is the default on most systems). Another build is
//    refused: the error names both ids.
//  - The program is started by /proc/self/exe, with the arguments that init was given, in the
//    caller's environment and working directory, unless options::environment and
//    options::working_directory say otherwise. It gets the standard streams, what shard needs, and
//    no other descriptor.
//  - The caller has a child: SIGCHLD comes when the workers have ended, and wait() for any child
//  may
//    find it. With workers that are forked, neither is so.
//  - A process that the program starts before init, and leaves running, holds what tells the caller
//    that nobody is left: a pool, and a map without one, end no sooner than that process does.
//  - If a library of the program starts threads when it is loaded, workers are forked beside these
//    threads: a kernel must not need a lock that such a thread holds.
#pragma once

namespace shard {

// Call it at the beginning of main, before anything that a worker should not do again. In a program
// that was started to be a supervisor, does not return. In any other, notes the arguments.
// A program that does not call it can't spawn workers: to try is an error.
void init(int argc, char** argv);

}  // namespace shard
