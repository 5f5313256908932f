"""How frozen networks run, and what is kept of what they give."""

import os

# Since 1.29 ONNX Runtime gives each machine a name, keeps it in a file and tells its maker what is
# run, unless this is set before it is first imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
