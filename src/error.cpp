#include "shard/error.hpp"

namespace shard {

error::error(std::error_code code, std::string message)
    : std::system_error(code), message_(std::move(message)) {}

}  // namespace shard
