//! Floor 6: where frames come from (files, interfaces) and go to (`-w`).
