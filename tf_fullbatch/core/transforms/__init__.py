"""What is done to a tree once per step, after the reduction over replicas: to the gradient, or to a method's update."""
