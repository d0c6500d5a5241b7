// The version of these headers. major.minor.patch, by semantic versioning.
#pragma once

#define SHARD_VERSION_MAJOR 0
#define SHARD_VERSION_MINOR 1
#define SHARD_VERSION_PATCH 0
