// File systems of a test's own, in mounts that nobody else sees.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "refusal.hpp"

namespace shard_test {

// Runs `steps` in a forked child that may mount: as root, or else in a user namespace. False: this
// machine lets it do neither.
template <class Steps>
[[nodiscard]] bool with_own_mounts(Steps steps) {
  constexpr int refused = 77;
  const std::string user = std::to_string(geteuid());
  const std::string group = std::to_string(getegid());
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0) {
      if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(refused);
      std::ofstream("/proc/self/setgroups") << "deny";
      std::ofstream("/proc/self/uid_map") << user << ' ' << user << " 1";
      std::ofstream("/proc/self/gid_map") << group << ' ' << group << " 1";
    }
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(refused);
    bool possible = true;
    try {
      possible = steps();
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
    _exit(testing::Test::HasFailure() ? 1 : possible ? 0 : refused);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == refused) return false;
  EXPECT_EQ(status, 0);
  return true;
}

inline bool mount_tmpfs(const std::filesystem::path& at, const std::string& options) {
  return mount("tmpfs", at.c_str(), "tmpfs", 0, options.c_str()) == 0;
}

// A new ext4 of 16 MiB, in a file beside the folder. False: no loop devices, or no mkfs.ext4.
inline bool mount_ext4(const std::filesystem::path& at) {
  const std::string disk = at.string() + ".disk";
  std::ofstream(disk).flush();
  std::filesystem::resize_file(disk, std::size_t{16} << 20);
  const std::string quiet = " >/dev/null 2>&1";
  return std::system(
             ("PATH=$PATH:/usr/sbin:/sbin; mkfs.ext4 -q -F '" + disk + "'" + quiet).c_str()) == 0 &&
         std::system(("mount -o loop '" + disk + "' '" + at.string() + "'" + quiet).c_str()) == 0;
}

// FS_IMMUTABLE_FL is chattr +i, FS_APPEND_FL is chattr +a, 0 takes both away. False: this user, or
// this file system, can't.
inline bool set_flags(const std::filesystem::path& of, int flags) {
  const int file = ::open(of.c_str(), O_RDONLY | O_CLOEXEC);
  int all = 0;  // a file system has flags of its own
  bool done = file >= 0 && ioctl(file, FS_IOC_GETFLAGS, &all) == 0;
  all = (all & ~(FS_IMMUTABLE_FL | FS_APPEND_FL)) | flags;
  done = done && ioctl(file, FS_IOC_SETFLAGS, &all) == 0;
  close(file);
  return done;
}

}  // namespace shard_test
