"""What people save beside their features: names of keys, labels as text, tables, lists of image names."""
