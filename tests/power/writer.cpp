// Replaces a file in a folder three times, safely or not, so that a test can see what the machine
// of machine.hpp makes of it. Usage: writer HOW FOLDER ACKNOWLEDGED
//
// FOLDER/value has 10,000 letters, all the same: a, then b, then c. After each, the letter is
// appended to the file ACKNOWLEDGED, which is on no disk that loses anything.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>

namespace {

constexpr std::size_t letters = 10'000;

void require(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(1);
}

void write_letters(int file, char letter) {
  const std::string content(letters, letter);
  require(pwrite(file, content.data(), letters, 0) == static_cast<ssize_t>(letters), "pwrite");
}

void write_mapped(int file, char letter) {
  require(ftruncate(file, letters) == 0, "ftruncate");
  void* const memory = mmap(nullptr, letters, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  require(memory != MAP_FAILED, "mmap");
  std::memset(memory, letter, letters);
  require(msync(memory, letters, MS_SYNC) == 0, "msync");
  munmap(memory, letters);
}

void in_a_child(auto steps) {
  const pid_t child = fork();
  require(child >= 0, "fork");
  if (child == 0) {
    steps();
    _exit(0);
  }
  int status = 0;
  require(waitpid(child, &status, 0) == child && status == 0, "waitpid");
}

void sync_folder(const std::string& name) {
  const int folder = open(name.c_str(), O_RDONLY | O_DIRECTORY);
  require(folder >= 0 && fsync(folder) == 0, "fsync of the folder");
  close(folder);
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

}  // namespace

int main(int, char** arguments) {
  const std::string how = arguments[1];
  const std::string folder = arguments[2];
  const auto is = [&](const char* other) { return how == other; };
  if (is("boot")) {
    const int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
    char id[64] = {};
    require(read(file, id, sizeof id - 1) > 0, "read");
    std::cout << boot_id() << ' ' << id << std::flush;
    return 0;
  }
  const int acknowledged = open(arguments[3], O_WRONLY | O_CREAT | O_APPEND, 0600);
  const std::string name = folder + "/value";
  const std::string next = folder + "/next";
  for (const char letter : {'a', 'b', 'c'}) {
    if (is("in place")) {
      const int file = open(name.c_str(), O_RDWR | O_CREAT, 0600);
      write_letters(file, letter);
      require(fdatasync(file) == 0, "fdatasync");
      close(file);
    } else {
      const int file = open(next.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
      require(file >= 0, "open");
      if (is("mapped")) {
        write_mapped(file, letter);
      } else if (is("in a child")) {
        in_a_child([&] {
          write_letters(file, letter);
          require(fdatasync(file) == 0, "fdatasync");
        });
      } else if (is("synced early")) {
        require(fdatasync(file) == 0, "fdatasync");
        write_letters(file, letter);
      } else {
        write_letters(file, letter);
        if (!is("without a sync")) require(fdatasync(file) == 0, "fdatasync");
      }
      close(file);
      require(rename(next.c_str(), name.c_str()) == 0, "rename");
    }
    if (!is("without the folder")) sync_folder(folder);
    require(write(acknowledged, &letter, 1) == 1, "write");
  }
  if (is("removes")) {
    require(unlink(name.c_str()) == 0, "unlink");
    require(mkdir(next.c_str(), 0700) == 0, "mkdir");  // a point after it
  }
  return 0;
}
